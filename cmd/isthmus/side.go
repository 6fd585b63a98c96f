package main

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// differs marks lines that are not on both sides.
const differs = "≠"

// sideBySide shows two JSON values below WANTED and FOUND: what is the same on the same line, the rest marked. An empty one is nothing.
func (p Program) sideBySide(wanted, found string) error {
	return p.table([]string{"  WANTED", "", "FOUND"}, align(jsonLines(wanted), jsonLines(found)))
}

// jsonLines is JSON for people, with the keys of objects in order; what is none is shown as it is.
func jsonLines(text string) []string {
	if text == "" {
		return []string{"nothing"}
	}
	var value any
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&value); err != nil {
		return strings.Split(text, "\n")
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(value); err != nil {
		return strings.Split(text, "\n")
	}
	return strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
}

// align puts two texts beside each other by the longest sequence of lines that both have.
func align(left, right []string) [][]string {
	// common[i][j] is how many lines left[i:] and right[j:] have in common, in order.
	common := make([][]int, len(left)+1)
	for i := range common {
		common[i] = make([]int, len(right)+1)
	}
	for i, l := range slices.Backward(left) {
		for j, r := range slices.Backward(right) {
			if same(l, r) {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	var rows [][]string
	i, j := 0, 0
	for i < len(left) || j < len(right) {
		switch {
		case i < len(left) && j < len(right) && same(left[i], right[j]):
			rows = append(rows, []string{"  " + left[i], "", right[j]})
			i, j = i+1, j+1
		case i < len(left) && j < len(right) && common[i+1][j+1] == common[i][j]:
			rows = append(rows, []string{"  " + left[i], differs, right[j]})
			i, j = i+1, j+1
		case i < len(left) && (j == len(right) || common[i+1][j] == common[i][j]):
			rows = append(rows, []string{"  " + left[i], differs, ""})
			i++
		default:
			rows = append(rows, []string{"", differs, right[j]})
			j++
		}
	}
	return rows
}

// same tells whether two lines of JSON say the same: a comma only says that something follows.
func same(a, b string) bool { return strings.TrimSuffix(a, ",") == strings.TrimSuffix(b, ",") }
