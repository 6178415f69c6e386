// Package app puts Magpie together: it opens everything a configuration names, in order, wires the stages to each other
// and to the ways in, and closes all of it in reverse. The server, the commands that work on its data, and the end-to-end
// tests use the same App. Nothing is wired anywhere else, and nothing at import time.
package app
