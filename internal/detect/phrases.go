package detect

// phrases finds which of several sets of texts have one that stands in a value, with one look at each byte. It is an
// automaton in the way of Aho and Corasick, with a table for each place in the texts. It is immutable.
type phrases struct {
	classes [256]uint8 // of bytes that no text tells apart; 0 is of those that are in none
	width   int        // number of classes
	next    []uint16   // by state and class
	found   []uint8    // by state, the sets of which a text ends there, as bits
}

// newPhrases returns what finds the texts of at most eight sets. With fold, letters of ASCII stand for both cases, and those of
// the texts are small.
func newPhrases(fold bool, sets ...[]string) *phrases {
	p := &phrases{width: 1}
	for _, set := range sets {
		for _, text := range set {
			p.addClasses(text)
		}
	}
	if fold {
		for c := 'A'; c <= 'Z'; c++ {
			p.classes[c] = p.classes[c|0x20]
		}
	}
	p.addState()
	for i, set := range sets {
		for _, text := range set {
			p.add(text, 1<<i)
		}
	}
	p.link()
	return p
}

func (p *phrases) addClasses(text string) {
	for i := range len(text) {
		if c := &p.classes[text[i]]; *c == 0 {
			*c = uint8(p.width)
			p.width++
		}
	}
}

func (p *phrases) addState() uint16 {
	p.next = append(p.next, make([]uint16, p.width)...)
	p.found = append(p.found, 0)
	return uint16(len(p.found) - 1)
}

// add files a text of a set.
func (p *phrases) add(text string, set uint8) {
	at := uint16(0)
	for i := range len(text) {
		class := int(p.classes[text[i]])
		next := p.next[int(at)*p.width+class]
		if next == 0 {
			next = p.addState()
			p.next[int(at)*p.width+class] = next
		}
		at = next
	}
	p.found[at] |= set
}

// link fills the table where a text does not go on: there goes on what the longest end of it that begins a text does.
func (p *phrases) link() {
	queue := []uint16{0}
	ends := make([]uint16, len(p.found)) // the state of that longest end
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		p.found[at] |= p.found[ends[at]]
		for class := range p.width {
			next, other := &p.next[int(at)*p.width+class], p.next[int(ends[at])*p.width+class]
			switch {
			case *next == 0 && at != 0:
				*next = other
			case *next != 0:
				if at != 0 {
					ends[*next] = other
				}
				queue = append(queue, *next)
			}
		}
	}
}

// in returns the sets that have a text in v, as bits.
func (p *phrases) in(v []byte) (sets uint8) {
	at := 0
	for _, c := range v {
		at = int(p.next[at*p.width+int(p.classes[c])])
		sets |= p.found[at]
	}
	return sets
}
