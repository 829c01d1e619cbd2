package detect
import ("testing";"time";"fmt")
func TestT(t *testing.T){
 s:=time.Now(); e,err:=New(Config{}); if err!=nil{t.Fatal(err)}
 fmt.Println(time.Since(s), len(e.prog.words.cells), len(e.prog.slots), len(e.prog.words.outs))
}
