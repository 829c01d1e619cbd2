// Command gen writes fold.bin, the table by which package shadow folds characters.
//
// For every assigned character below U+1FC00 it says what stands for it in a folded text (compatibility
// decomposition, lower case, no accents) and which Latin letter it can be mistaken for (the rows of confusables.txt
// in this folder, and the look-alikes of lookalikes.go that only count beside Latin letters).
//
// Run it with `go generate` in the folder above.
package main

import (
	"encoding/binary"
	"flag"
	"log"
	"os"
)

// The table covers the characters below limit, in blocks of blockSize.
const (
	limit     = 0x1FC00
	blockSize = 64
)

// A record describes all characters that fold alike.
type record struct {
	class       class
	plain, like string
}

func main() {
	in := flag.String("confusables", "gen/confusables.txt", "confusables.txt, in the published format")
	out := flag.String("out", "fold.bin", "file to write")
	flag.Parse()
	like, err := readConfusables(*in)
	if err != nil {
		log.Fatal(err)
	}
	table, err := build(like)
	if err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(*out, table, 0o644); err != nil { //nolint:gosec // a source file of the repository
		log.Fatal(err)
	}
}

// build lays the table out: three little-endian lengths, then the number of the block of each 64 characters, then the
// blocks (offsets of records), then the records (class, two lengths, two strings).
func build(like map[rune]string) ([]byte, error) {
	var pool []byte
	offsets := map[record]uint16{}
	blocks := map[[blockSize]uint16]uint16{}
	var order [][blockSize]uint16
	var index []uint16
	for first := rune(0); first < limit; first += blockSize {
		var b [blockSize]uint16
		for i := range b {
			rec := classify(first+rune(i), like)
			at, ok := offsets[rec]
			if !ok {
				if len(pool)/2 > 0xFFFF {
					return nil, os.ErrInvalid
				}
				at = uint16(len(pool) / 2) //nolint:gosec // checked above
				offsets[rec] = at
				pool = append(pool, byte(rec.class), byte(len(rec.plain)<<4|len(rec.like)))
				pool = append(pool, rec.plain...)
				pool = append(pool, rec.like...)
				if len(pool)%2 != 0 {
					pool = append(pool, 0)
				}
			}
			b[i] = at
		}
		n, ok := blocks[b]
		if !ok {
			n = uint16(len(order)) //nolint:gosec // at most limit/blockSize
			blocks[b] = n
			order = append(order, b)
		}
		index = append(index, n)
	}
	log.Printf("%d blocks, %d records, %d bytes of records", len(order), len(offsets), len(pool))
	var t []byte
	t = binary.LittleEndian.AppendUint32(t, uint32(len(index))) //nolint:gosec // small
	t = binary.LittleEndian.AppendUint32(t, uint32(len(order))) //nolint:gosec // small
	t = binary.LittleEndian.AppendUint32(t, uint32(len(pool)))  //nolint:gosec // small
	for _, n := range index {
		t = binary.LittleEndian.AppendUint16(t, n)
	}
	for _, b := range order {
		for _, at := range b {
			t = binary.LittleEndian.AppendUint16(t, at)
		}
	}
	return append(t, pool...), nil
}
