package git

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"sync"
)

// numbers gives object ids small numbers, so that what is kept of a history holds four bytes where it names an object.
// The numbers lie close together, but not all of them are given. It may be used concurrently. The order of ids, and so
// their numbers, is another one on every run; hashing with a seed keeps chosen ids from colliding.
type numbers struct {
	size   int // of an id
	seed   maphash.Seed
	shards [numberShards]numberShard
}

const numberShards = 64 // so that workers hardly ever wait for each other

type numberShard struct {
	mu sync.Mutex
	// slots holds, in its low bits, how many ids came before the one that is here, plus one, and above some bits of its
	// hash, so that other ids are hardly ever looked at; zero is free.
	slots []uint32
	ids   []byte
	_     [64]byte // keeps the locks of two shards apart
}

func newNumbers(f Format) *numbers { return &numbers{size: f.Size(), seed: maphash.MakeSeed()} }

// A number fits into 31 bits, six of which say the shard.
const (
	localBits = 25
	localMask = 1<<localBits - 1
)

// of returns the number of an id, which has one from now on. It is -1 for an id of another format.
func (n *numbers) of(id []byte) int32 {
	if len(id) != n.size {
		return -1
	}
	h := maphash.Bytes(n.seed, id)
	s := &n.shards[h%numberShards]
	s.mu.Lock()
	if len(s.ids)/n.size*4 >= len(s.slots)*3 {
		n.grow(s)
	}
	slot := s.find(id, h, n.size)
	if s.slots[slot] == 0 {
		s.ids = append(s.ids, id...)
		s.slots[slot] = uint32(len(s.ids)/n.size) | tagOf(h)
	}
	local := s.slots[slot]&localMask - 1
	s.mu.Unlock()
	return int32(local*numberShards | uint32(h%numberShards))
}

// known returns the number of an id, or -1 if it has none.
func (n *numbers) known(id []byte) int32 {
	if len(id) != n.size {
		return -1
	}
	h := maphash.Bytes(n.seed, id)
	s := &n.shards[h%numberShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.slots) == 0 {
		return -1
	}
	local := s.slots[s.find(id, h, n.size)] & localMask
	if local == 0 {
		return -1
	}
	return int32((local-1)*numberShards | uint32(h%numberShards))
}

// tagOf returns the bits of a hash that are kept in a slot.
func tagOf(h uint64) uint32 { return uint32(h>>32) &^ localMask }

// find returns the slot where an id is or would be.
func (s *numberShard) find(id []byte, h uint64, size int) uint64 {
	mask, tag := uint64(len(s.slots)-1), tagOf(h)
	slot := h >> 6 & mask
	for s.slots[slot] != 0 {
		if s.slots[slot]&^localMask == tag {
			at := int(s.slots[slot]&localMask-1) * size
			if bytes.Equal(s.ids[at:at+size], id) {
				break
			}
		}
		slot = (slot + 1) & mask
	}
	return slot
}

// grow makes room for more ids.
func (n *numbers) grow(s *numberShard) {
	s.slots = make([]uint32, max(16, 2*len(s.slots)))
	for at := 0; at < len(s.ids); at += n.size {
		id := s.ids[at : at+n.size]
		h := maphash.Bytes(n.seed, id)
		s.slots[s.find(id, h, n.size)] = uint32(at/n.size+1) | tagOf(h)
	}
}

// recent remembers the numbers of ids that were asked for not long ago. It is for one goroutine.
type recent struct {
	*numbers
	slots []recentSlot
}

type recentSlot struct {
	id     [32]byte
	number int32 // plus one; zero is free
}

const recentSlots = 2048

func newRecent(n *numbers) *recent {
	return &recent{numbers: n, slots: make([]recentSlot, recentSlots)}
}

// of is as that of numbers.
func (r *recent) of(id []byte) int32 {
	if len(id) != r.size {
		return -1
	}
	s := &r.slots[binary.LittleEndian.Uint16(id)%recentSlots]
	if s.number == 0 || !bytes.Equal(s.id[:len(id)], id) {
		copy(s.id[:], id)
		s.number = r.numbers.of(id) + 1
	}
	return s.number - 1
}

// end returns a number larger than all that were given. It must not run beside of.
func (n *numbers) end() int {
	most := 0
	for i := range n.shards {
		most = max(most, len(n.shards[i].ids)/n.size)
	}
	return most * numberShards
}

// id returns the id that has a number. It must not run beside of.
func (n *numbers) id(number int32) ID {
	at := int(number) / numberShards * n.size
	return IDFromBytes(n.shards[number%numberShards].ids[at : at+n.size])
}

// texts gives pieces of text numbers from 0. It is for one goroutine.
type texts struct {
	seed  maphash.Seed
	slots []uint32 // number plus one; zero is free
	ends  []uint32 // where in all each text ends
	all   []byte
}

// of returns the number of a text, which has one from now on.
func (t *texts) of(text []byte) int32 {
	if len(t.ends)*4 >= len(t.slots)*3 {
		t.grow()
	}
	slot := t.find(text)
	if t.slots[slot] == 0 {
		t.all = append(t.all, text...)
		t.ends = append(t.ends, uint32(len(t.all)))
		t.slots[slot] = uint32(len(t.ends))
	}
	return int32(t.slots[slot] - 1)
}

func (t *texts) find(text []byte) uint64 {
	mask := uint64(len(t.slots) - 1)
	slot := maphash.Bytes(t.seed, text) & mask
	for t.slots[slot] != 0 && !bytes.Equal(t.text(int32(t.slots[slot]-1)), text) {
		slot = (slot + 1) & mask
	}
	return slot
}

func (t *texts) grow() {
	if t.slots == nil {
		t.seed = maphash.MakeSeed()
	}
	t.slots = make([]uint32, max(64, 2*len(t.slots)))
	for i := range t.ends {
		t.slots[t.find(t.text(int32(i)))] = uint32(i + 1)
	}
}

// text returns the text that has a number.
func (t *texts) text(number int32) []byte {
	from := uint32(0)
	if number > 0 {
		from = t.ends[number-1]
	}
	return t.all[from:t.ends[number]]
}

// merge adds the texts of other and returns the numbers they have here.
func (t *texts) merge(other *texts) []int32 {
	to := make([]int32, len(other.ends))
	for i := range to {
		to[i] = t.of(other.text(int32(i)))
	}
	return to
}

// column is a growing list that never moves what is in it, so that growing takes no more memory than the list.
type column[T any] struct {
	chunks [][]T
	n      int
}

const chunkSize = 4096

func (c *column[T]) add(v T) {
	if c.n%chunkSize == 0 {
		c.chunks = append(c.chunks, make([]T, 0, chunkSize))
	}
	last := &c.chunks[len(c.chunks)-1]
	*last = append(*last, v)
	c.n++
}

// at returns item i, to be read or changed.
func (c *column[T]) at(i int) *T { return &c.chunks[i/chunkSize][i%chunkSize] }

// idColumn is a growing list of ids, which are slices of it.
type idColumn struct {
	size   int
	chunks [][]byte
	n      int
}

func (c *idColumn) add(id []byte) {
	if c.n%chunkSize == 0 {
		c.chunks = append(c.chunks, make([]byte, 0, chunkSize*c.size))
	}
	last := &c.chunks[len(c.chunks)-1]
	*last = append(*last, id...)
	c.n++
}

func (c *idColumn) at(i int) []byte {
	at := i % chunkSize * c.size
	return c.chunks[i/chunkSize][at : at+c.size]
}
