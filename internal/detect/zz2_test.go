package detect
import ("testing";"math/rand/v2";"strings")
func oldSplit(l *lexicon, p []byte) int {
	if len(p) > 64 { return 0 }
	var best [65]int
	for i := 1; i <= len(p); i++ {
		best[i] = best[i-1]
		for n := 2; n <= min(i, l.longer); n++ {
			if (n > 2 || n == len(p)) && l.words[string(p[i-n:i])] { best[i] = max(best[i], best[i-n]+n) }
		}
	}
	return best[len(p)]
}
func TestSplitZZ(t *testing.T){
 l:=newLexicon(); ws:=strings.Fields(wordList); r:=rand.New(rand.NewPCG(1,2))
 for n:=0;n<300000;n++ { var b []byte
  for k:=0;k<r.IntN(6);k++ { w:=ws[r.IntN(len(ws))]; switch r.IntN(3){case 0: b=append(b,w...); case 1: b=append(b,w[:r.IntN(len(w)+1)]...); default: b=append(b, byte('a'+r.IntN(26)))} }
  if a,c:=oldSplit(l,b), l.split(b); a!=c { t.Fatalf("%q old %d new %d",b,a,c)} }
}
func BenchmarkSplit(b *testing.B){ l:=newLexicon(); v:=[]byte("kqwertzuiopasdfghjklyxcvbnmqwert"); for b.Loop() { l.split(v)} }
func BenchmarkOldSplit(b *testing.B){ l:=newLexicon(); v:=[]byte("kqwertzuiopasdfghjklyxcvbnmqwert"); for b.Loop() { oldSplit(l,v)} }
func BenchmarkLex(b *testing.B){ for b.Loop() { newLexicon()} }
