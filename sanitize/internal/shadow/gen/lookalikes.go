package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// loose are look-alikes that confusables.txt does not list, or lists with another target, and that a reader still takes
// for the Latin letter in the middle of a Latin word. Source letters and targets alternate.
const loose = "тt нh мm кk вb иu пn гr яr зe э3 лn дd цu шw щw бb ъb ьb ыbl юio жx чy фf йu " +
	"ѵv ѡw ҝk ғf қk ңh ҳx ӏl єe їi ґr " +
	"ηn νv ωw εe μu τt κk λa σo θo βb δd γy χx πn ζz ξe ψw ςc ρp υu ιi αa οo ϲc ϳj " +
	"ոn հh սu օo աw ցg քp գq զq եt կk մu ձd տs կl լl էt " +
	"€e £l ¥y ¢c §s ₩w ₽p ₿b ₦n ₮t ₴s ₲g †t ∂d ∑e ∆a √v ∩n ∪u ∈e ∀a ∃e ℓl ∞o ¶p ®r ©c Ωo " +
	"₳a ₱p ₭k ₥m ₡c ฿b ₫d ₣f ₤l ₧p ₨r " +
	"אx רr חn טu םo סo ןl וi ףq קp ץy שw תn " +
	"ꮖi ꮆg ꮎo ꮢr ꭼe ꭺa ꮲp ꮪs ꭲt ꮃw ꮇm ꮋh ꭰd ꮓz ꮩv ꭻj ꮮl ꮯc ꭹy ꮶk ꮟb ꮝs ꮒh ꮞ4 ꮑo ꮏr ꮍy ꭱr ꭽf ꮐg ꮕi " +
	"のo 丨l 口o 工i 卄h 乃b 匚c 刀d 乇e 下f 厶g 丂s 卂a 几n 尺r 千f ㄒt 山w 丶i 凵u ᗩa 日o ㄖo ㄩu 爪m 乙z 卩p ㄥl ﾌj ﾚl 亅j "

// readConfusables reads rows of the form "0430 ; 0061 ; MA # comment" whose target is ASCII without its marks.
func readConfusables(name string) (map[rune]string, error) {
	f, err := os.Open(name) //nolint:gosec // the operator names it
	if err != nil {
		return nil, err
	}
	defer f.Close()
	like := map[rune]string{}
	s := bufio.NewScanner(f)
	for s.Scan() {
		row, _, _ := strings.Cut(s.Text(), "#")
		fields := strings.Split(row, ";")
		if len(fields) < 3 {
			continue
		}
		from, err := points(fields[0])
		if err != nil {
			return nil, err
		}
		to, err := points(fields[1])
		if err != nil {
			return nil, err
		}
		if r := []rune(from); len(r) == 1 && r[0] > unicode.MaxASCII {
			if ascii := strings.ToLower(bare(to)); isASCII(ascii) && ascii != "" {
				like[r[0]] = ascii
			}
		}
	}
	return like, s.Err()
}

func points(field string) (string, error) {
	var b strings.Builder
	for hex := range strings.FieldsSeq(field) {
		n, err := strconv.ParseUint(hex, 16, 21)
		if err != nil {
			return "", fmt.Errorf("code point %q: %w", hex, err)
		}
		b.WriteRune(rune(n)) //nolint:gosec // 21 bits
	}
	return b.String(), nil
}

// bare decomposes s and drops the marks.
func bare(s string) string {
	return strings.Map(func(r rune) rune {
		if dropped(r) {
			return -1
		}
		return r
	}, norm.NFKD.String(s))
}

// looseLikes are the pairs of loose.
var looseLikes = func() map[rune]string {
	m := map[rune]string{}
	for pair := range strings.FieldsSeq(loose) {
		from := []rune(pair)
		if _, ok := m[from[0]]; !ok {
			m[from[0]] = string(from[1:])
		}
	}
	return m
}()

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r > unicode.MaxASCII }) < 0
}
