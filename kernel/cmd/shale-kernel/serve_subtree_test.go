package main

import (
	"fmt"
	"strings"
	"testing"
)

const lonelyLeaf = `{"index": 5000, "lease_id": "0x1", "x": "0x0", "y": "0x1", "amount": "7", "seconds": 3}`

// hashOfLonely is the hash of subtree 1 with the lonely leaf in it.
func hashOfLonely(t *testing.T) string {
	t.Helper()
	a := askOne(t, "ledger.subtree", `{"number": 1, "leaves": [`+lonelyLeaf+`]}`)
	result, _ := a["result"].(map[string]any)
	hash, _ := result["hash"].(string)
	if hash == "" {
		t.Fatal(a)
	}
	return hash
}

func TestRootOfSubtreesIsThatOfTheirLeaves(t *testing.T) {
	whole := askOne(t, "ledger.root", `{"leaves": [`+lonelyLeaf+`]}`)
	parted := askOne(t, "ledger.root", fmt.Sprintf(`{"subtrees": [[1, %q]]}`, hashOfLonely(t)))
	if whole["result"] == nil || fmt.Sprint(whole["result"]) != fmt.Sprint(parted["result"]) {
		t.Fatal(whole, parted)
	}
}

func TestMalformedSubtreesAreRefused(t *testing.T) {
	good := fmt.Sprintf(`[1, %q]`, hashOfLonely(t))
	aliased := `[2, "0x30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000002"]` // the modulus and one
	many := strings.TrimSuffix(strings.Repeat(good+",", 257), ",")
	for given, reason := range map[string]string{
		good + `, ` + good:             "number 1 was given before",
		good + `, [256, "0x1"]`:        "number 256 is not below 256",
		aliased:                        "below the field's modulus",
		many:                           "at most 256 subtrees",
		`[0, "0x1"]`:                   "index 3 lies in subtree 0",
		`[-1, "0x1"]`:                  "number must be uint32",
		`[null, "0x1"]`:                "number must be uint32",
		`[1.5, "0x1"]`:                 "number must be uint32",
		`[1, null]`:                    "a word must be",
		`[1, 7]`:                       "a word must be",
		`[1]`:                          "[number, hash]",
		`[1, "0x1", "0x2"]`:            "[number, hash]",
		`null`:                         "[number, hash]",
		`{"number": 1, "hash": "0x1"}`: "[number, hash]",
	} {
		leaf := strings.Replace(lonelyLeaf, "5000", "3", 1)
		params := fmt.Sprintf(`{"leaves": [%s], "subtrees": [%s]}`, leaf, given)
		if a := askOne(t, "ledger.root", params); codeOf(a) != "refused" || !strings.Contains(messageOf(a), reason) {
			t.Errorf("root of %.60s: %v", given, a)
		}
		closing := strings.Replace(leaf, `"seconds"`, `"close": true, "seconds"`, 1)
		params = fmt.Sprintf(`{"domain": "0x1", "size": 8, "window": 0, "operations": [%s], %s`, closing, params[1:])
		if a := askOne(t, "ledger.prove", params); codeOf(a) != "refused" || !strings.Contains(messageOf(a), reason) {
			t.Errorf("batch on %.60s: %v", given, a)
		}
	}
}

func TestWindowNeedsTheLeavesOfItsSubtree(t *testing.T) {
	params := strings.Replace(honestInsert, `"leaves": []`, `"subtrees": [[0, "0x1"]]`, 1)
	if a := askOne(t, "ledger.prove", params); codeOf(a) != "refused" || !strings.Contains(messageOf(a), "window 0 lies in subtree 0") {
		t.Fatal(a)
	}
}

func TestSubtreeOfOtherLeavesOrNoNumberIsRefused(t *testing.T) {
	for params, reason := range map[string]string{
		`{}`:              "number is needed",
		`{"number": -1}`:  "number must be uint32",
		`{"number": 256}`: "subtree 256 is not below 256",
		`{"number": 0, "leaves": [` + lonelyLeaf + `]}`:                     "index 5000 is not in subtree 0",
		`{"number": 1, "leaves": [` + lonelyLeaf + `, ` + lonelyLeaf + `]}`: "is taken by an earlier leaf",
		`{"number": 1, "leaves": [{}]}`:                                     "a leaf has index",
	} {
		if a := askOne(t, "ledger.subtree", params); codeOf(a) != "refused" || !strings.Contains(messageOf(a), reason) {
			t.Errorf("%s: %v", params, a)
		}
	}
}
