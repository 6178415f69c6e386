package pack

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"magpie/internal/git"
)

// errMidx says that a multi-pack-index makes no sense. All packs can be read without it.
var errMidx = errors.New("not a valid multi-pack-index")

// midx is a multi-pack-index: for each object of several packs its id and one pack that holds it. It may be one layer of
// a chain, whose layers share no objects.
//
//	"MIDX" version(1) hash(1) chunks(1) bases(1) packs(4) {chunk id(4) offset(8)} 0(4) end(8) chunks.. hash
//	PNAM    names of the packs' .idx files, each ended by a zero byte
//	OIDF    fanout(256*4)
//	OIDL    ids
//	OOFF    {number of the pack(4) offset(4)}
type midx struct {
	dir    string   // of the packs
	packs  []string // names, without .idx or .pack
	size   int      // of an id
	count  int
	fanout []byte
	ids    []byte
	where  []byte
}

// midxs are all multi-pack-indexes of a repository.
type midxs []*midx

// maxPacksIndexed and maxLayers bound what a multi-pack-index may announce.
const (
	maxPacksIndexed = 1 << 20
	maxLayers       = 1000
)

// openMidx finds its way in the bytes of a multi-pack-index.
func openMidx(raw []byte, dir string, format git.Format) (*midx, error) {
	m := &midx{dir: dir, size: format.Size()}
	if len(raw) < 12 || string(raw[:4]) != "MIDX" || raw[4] != 1 && raw[4] != 2 || raw[5] != byte(format)+1 {
		return nil, errMidx
	}
	packs := binary.BigEndian.Uint32(raw[8:])
	chunks, err := readChunks(raw, int(raw[6]))
	if err != nil || packs > maxPacksIndexed {
		return nil, errMidx
	}
	m.fanout, m.ids, m.where = chunks["OIDF"], chunks["OIDL"], chunks["OOFF"]
	if len(m.fanout) != 1024 {
		return nil, errMidx
	}
	count := int64(binary.BigEndian.Uint32(m.fanout[1020:]))
	if int64(len(m.ids)) != count*int64(m.size) || int64(len(m.where)) != count*8 {
		return nil, errMidx
	}
	m.count = int(count)
	names := chunks["PNAM"]
	for range packs {
		name, rest, found := bytes.Cut(names, []byte{0})
		base, ok := strings.CutSuffix(string(name), ".idx")
		if !found || !ok || base != filepath.Base(base) {
			return nil, errMidx
		}
		m.packs, names = append(m.packs, base), rest
	}
	return m, nil
}

// readChunks returns the chunks of a multi-pack-index by their ids.
func readChunks(raw []byte, count int) (map[string][]byte, error) {
	const toc = 12
	if len(raw) < toc+12*(count+1) {
		return nil, errMidx
	}
	chunks := map[string][]byte{}
	for i := range count {
		entry := raw[toc+12*i:]
		from, to := binary.BigEndian.Uint64(entry[4:]), binary.BigEndian.Uint64(entry[16:])
		if from > to || to > uint64(len(raw)) {
			return nil, errMidx
		}
		chunks[string(entry[:4])] = raw[from:to]
	}
	return chunks, nil
}

// loadMidxs reads the multi-pack-index of an object directory, and the layers of its chain.
func loadMidxs(dir string, format git.Format, limits Limits) (midxs, error) {
	dir = filepath.Join(dir, "pack")
	files := []string{filepath.Join(dir, "multi-pack-index")}
	layers := filepath.Join(dir, "multi-pack-index.d")
	chain, err := readSmall(filepath.Join(layers, "multi-pack-index-chain"))
	if err == nil {
		for name := range strings.FieldsSeq(string(chain)) {
			if _, err := git.ParseID(name); err != nil || len(files) > maxLayers {
				return nil, fmt.Errorf("%w: its chain has a layer %.64q", errMidx, name)
			}
			files = append(files, filepath.Join(layers, "multi-pack-index-"+name+".midx"))
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var all midxs
	for i, file := range files {
		raw, err := readWholeFile(file, limits.MaxObjects*64+1<<30)
		if i == 0 && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		m, err := openMidx(raw, dir, format)
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return all, nil
}

// openMidxs reads all multi-pack-indexes. One that can't be read is reported, and so is a pack that one names and that is
// not there. If none of the packs is new, there is nothing to prune, and what was reported before is reported again.
func (r *Repository) openMidxs(run *run, paths []string) midxs {
	if !slices.ContainsFunc(paths, func(path string) bool { return r.stored(path) == nil }) {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, e := range r.midxTrouble {
			run.skip(e)
		}
		return nil
	}
	var trouble []*git.ObjectError
	report := func(name string, err error) {
		e := unreadable(name, err)
		trouble = append(trouble, e)
		run.skip(e)
	}
	var all midxs
	for _, dir := range r.objects {
		tables, err := loadMidxs(dir, r.format, r.limits)
		if err != nil {
			report("the multi-pack-index of "+dir, err)
			continue
		}
		for _, m := range tables {
			if m.complete(report) {
				all = append(all, m)
			}
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.midxTrouble = trouble
	return all
}

// complete reports whether all packs that m names are there. One that is absent is reported.
func (m *midx) complete(report func(name string, err error)) bool {
	complete := true
	for _, name := range m.packs {
		f, err := openRegular(filepath.Join(m.dir, name+".pack"))
		if err == nil {
			_ = f.Close()
			continue
		}
		complete = false
		report(name+".pack, which a multi-pack-index names,", err)
	}
	return complete
}

// pack returns the number of the pack that object i is to be read from.
func (m *midx) pack(i int) int { return int(binary.BigEndian.Uint32(m.where[8*i:])) }

// find returns the number of the object with the raw id, or -1.
func (m *midx) find(id []byte) int {
	from, to := 0, int(binary.BigEndian.Uint32(m.fanout[4*int(id[0]):]))
	if id[0] > 0 {
		from = int(binary.BigEndian.Uint32(m.fanout[4*int(id[0])-4:]))
	}
	if from > to || to > m.count {
		return -1
	}
	at := func(i int) []byte { return m.ids[i*m.size:][:m.size] }
	i := from + sort.Search(to-from, func(i int) bool { return bytes.Compare(at(from+i), id) >= 0 })
	if i < to && bytes.Equal(at(i), id) {
		return i
	}
	return -1
}

// elsewhere reports whether the object with the raw id is to be read from another pack than the one at path.
func (t midxs) elsewhere(id []byte, path string) bool {
	for _, m := range t {
		if i := m.find(id); i >= 0 {
			n := m.pack(i)
			return n < len(m.packs) && filepath.Join(m.dir, m.packs[n]+".pack") != path
		}
	}
	return false
}

// prune takes out of x, the index of the pack at path with its table of ids, what is to be read from other packs. It
// reports whether there was anything.
func (t midxs) prune(path string, x *index, table *idx) bool {
	if len(t) == 0 {
		return false
	}
	keep := make([]bool, len(x.entries))
	kept := 0
	for i := range table.count {
		if t.elsewhere(table.id(i), path) {
			continue
		}
		// And what it is built from. Where that is kept already, so is what that is built from.
		for e := x.find(table.offset(i)); e >= 0 && !keep[e]; e = x.entries[e].base {
			keep[e] = true
			kept++
		}
	}
	if kept < len(x.entries) {
		x.keepOnly(keep)
	}
	return kept < len(keep)
}

// keepOnly takes all other entries out of the index. Nothing that is kept may be built from one that is not.
func (x *index) keepOnly(keep []bool) {
	number := make([]int32, len(x.entries))
	entries := x.entries[:0]
	refs, bad := x.refs, x.bad
	x.refs, x.bad = map[int32]git.ID{}, map[int32]error{}
	for i, e := range x.entries {
		if !keep[i] {
			continue
		}
		n := int32(len(entries))
		number[i] = n
		if id, ok := refs[int32(i)]; ok {
			x.refs[n] = id
		}
		if err, ok := bad[int32(i)]; ok {
			x.bad[n] = err
		}
		entries = append(entries, e)
	}
	x.entries = entries
	for i, e := range x.entries {
		if e.base >= 0 {
			x.entries[i].base = number[e.base]
		}
	}
}
