//go:build ignore

// Counts the sequences of four bytes, folded as the prefilter does, in the files of the folders given, and writes how frequent
// they are to grams.bin: for each hash of a sequence, as gramHash gives it, the number of bits of how often it stands in
// 16 MiB, at most 15, two to a byte. Each kind of file, by its extension, counts with at most 2 MiB of a folder, so that none
// outweighs others. Any folders of ordinary source will do: what comes of it only makes the prefilter faster or slower.
//
//	go run grams_count.go FOLDER...
package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io/fs"
	"math/bits"
	"os"
	"path/filepath"
)

const (
	mostOfKind = 2 << 20
	hashBits   = 18
)

func main() {
	counts := make([]int, 1<<hashBits)
	size := 0
	for _, folder := range os.Args[1:] {
		ofKind := map[string]int{}
		err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			kind := filepath.Ext(path)
			data = data[:min(len(data), 256<<10, mostOfKind-ofKind[kind])]
			if bytes.IndexByte(data, 0) >= 0 {
				return nil
			}
			ofKind[kind] += len(data)
			size += len(data)
			for i := 0; i+4 <= len(data); i++ {
				counts[((binary.LittleEndian.Uint32(data[i:])|0x20202020)*0x9E3779B1)>>(32-hashBits)]++
			}
			return nil
		})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	table := make([]byte, 1<<hashBits/2)
	for h, n := range counts {
		level := min(15, bits.Len(uint(n*(16<<20)/size)))
		table[h/2] |= byte(level << (4 * (h % 2)))
	}
	if err := os.WriteFile("grams.bin", table, 0o644); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
