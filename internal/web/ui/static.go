package ui

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"sync"
)

//go:embed static
var staticFiles embed.FS

// assets maps each static file's plain name to its address, which holds a hash of the content, so that browsers may
// keep it for ever, and each address to the content.
type assets struct {
	address map[string]string
	content map[string][]byte
}

var loadAssets = sync.OnceValue(func() assets {
	a := assets{address: map[string]string{}, content: map[string][]byte{}}
	names, err := fs.Glob(staticFiles, "static/*")
	if err != nil {
		panic(err) // the pattern is a constant
	}
	for _, name := range names {
		content, err := staticFiles.ReadFile(name)
		if err != nil {
			panic(err) // it is embedded
		}
		sum := sha256.Sum256(content)
		base, ext := path.Base(name), path.Ext(name)
		address := strings.TrimSuffix(base, ext) + "." + hex.EncodeToString(sum[:8]) + ext
		a.address[base], a.content[address] = "/static/"+address, content
	}
	return a
})

// asset returns the address of a static file. A name that is not embedded gives an address that answers 404, which a
// test of all templates would show.
func asset(name string) string { return loadAssets().address[name] }

// serveStatic answers a static file under its hashed name.
func serveStatic(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("file")
	content, ok := loadAssets().content[name]
	if !ok {
		return errNoPage()
	}
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	w.Header().Set("Content-Type", mime.TypeByExtension(path.Ext(name)))
	_, err := w.Write(content)
	return err
}
