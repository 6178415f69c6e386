// Package config reads the settings of the server: one documented struct, filled once, from the environment or one TOML
// file.
//
// The idea: the struct is the only list. The name of a setting in the file is its toml tag, its name in the environment is
// MAGPIE_ and the same in capitals (mail.host is MAGPIE_MAIL_HOST), its default is its default tag, and docs/config.md is
// generated from the comments. The environment wins over the file. A setting that holds a secret can also be read from a
// file of its own by the name with _FILE (or _file) added. Every field has a default that works, so an empty environment
// is a valid configuration, and all problems are reported at once.
//
// The package opens no database, key or connection: that a setting is well formed is checked here, that it works is for
// `magpie doctor`. Only cmd and app import it; every other package gets its own few options.
package config
