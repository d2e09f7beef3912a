package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/shale-cloud/shale/kernel/ledger"
)

// ask runs a server without keys on these lines and returns its answers by id; "null" is the id of what had none.
func ask(t *testing.T, s *server, lines ...string) map[string]map[string]any {
	t.Helper()
	var out bytes.Buffer
	s.out = &out
	if err := s.run(strings.NewReader(strings.Join(lines, "\n"))); err != nil {
		t.Fatal(err)
	}
	answers := map[string]map[string]any{}
	for _, line := range strings.Split(strings.TrimSpace(out.String()), "\n") {
		var a map[string]any
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			t.Fatalf("%q is no answer: %v", line, err)
		}
		answers[fmt.Sprint(a["id"])] = a
	}
	return answers
}

func askOne(t *testing.T, method, params string) map[string]any {
	t.Helper()
	line := fmt.Sprintf(`{"id": 7, "method": %q, "params": %s}`, method, params)
	return ask(t, newServer(t.TempDir(), nil), line)["7"]
}

func codeOf(a map[string]any) string {
	f, _ := a["error"].(map[string]any)
	code, _ := f["code"].(string)
	return code
}

func messageOf(a map[string]any) string {
	f, _ := a["error"].(map[string]any)
	message, _ := f["message"].(string)
	return message
}

func TestVoucherSignedByTheKernelVerifiesWithoutKeyFiles(t *testing.T) {
	made := askOne(t, "voucher.keygen", "{}")["result"].(map[string]any)
	values := `"domain": "0x1", "lease_id": "0x02", "amount": "79228162514264337593543950335", "seconds": 18446744073709551615`
	signed := askOne(t, "voucher.sign", fmt.Sprintf(`{"secret": %q, %s}`, made["secret"], values))["result"].(map[string]any)
	params := fmt.Sprintf(`{"x": %q, "y": %q, "signature": %q, %s}`, made["x"], made["y"], signed["signature"], values)
	if verified := askOne(t, "voucher.verify", params); verified["result"].(map[string]any)["valid"] != true {
		t.Fatal(verified)
	}
	other := strings.Replace(params, "0x02", "0x03", 1)
	if verified := askOne(t, "voucher.verify", other); verified["result"].(map[string]any)["valid"] != false {
		t.Fatal(verified)
	}
}

func TestMalformedParamsAreRefused(t *testing.T) {
	const rest = `"domain": "0x1", "lease_id": "0x2", "seconds": 1`
	secret := `"secret": "0x` + strings.Repeat("11", 32) + `"`
	for _, params := range []string{
		`{}`, `null`, `[]`, `3`, `{` + rest + `, "amount": "1"}`,
		`{` + secret + `, ` + rest + `, "amount": 1}`,
		`{` + secret + `, ` + rest + `, "amount": "01"}`,
		`{` + secret + `, ` + rest + `, "amount": "-1"}`,
		`{` + secret + `, ` + rest + `, "amount": "79228162514264337593543950336"}`,
		`{` + secret + `, ` + rest + `, "amount": "1", "surplus": 1}`,
		`{` + secret + `, "domain": "0x1", "lease_id": "0x1` + strings.Repeat("0", 62) + `", "seconds": 1, "amount": "1"}`,
		`{` + secret + `, "domain": "0x` + strings.Repeat("f", 64) + `", "lease_id": "0x1", "seconds": 1, "amount": "1"}`,
		`{` + secret + `, "domain": "1", "lease_id": "0x1", "seconds": 1, "amount": "1"}`,
		`{` + secret + `, "domain": "0x1", "lease_id": "0x1", "seconds": -1, "amount": "1"}`,
		`{` + secret + `, "domain": "0x1", "lease_id": "0x1", "seconds": 1.5, "amount": "1"}`,
	} {
		if a := askOne(t, "voucher.sign", params); codeOf(a) != "refused" {
			t.Errorf("%s: %v", params, a)
		}
	}
}

func TestSecretsAreNotRepeatedInErrors(t *testing.T) {
	a := askOne(t, "voucher.sign", `{"secret": "0xdeadbeef", "domain": "0x1", "lease_id": "0x2", "amount": "1", "seconds": 1}`)
	if codeOf(a) != "refused" || strings.Contains(messageOf(a), "dead") {
		t.Fatal(a)
	}
}

func TestFactsOfTheKeysNeedNoKeyFiles(t *testing.T) {
	info := askOne(t, "ledger.info", "{}")["result"].(map[string]any)
	for i, size := range info["sizes"].([]any) {
		described := size.(map[string]any)
		if described["size"] != float64(ledger.Sizes[i]) || described["provable"] != false || described["constraints"].(float64) < 10_000 {
			t.Error(described)
		}
		files := described["files"].([]any)
		for j, name := range []string{"window-%d.r1cs", "window-%d.unsafe-development.pk"} {
			file := files[j].(map[string]any)
			if file["name"] != fmt.Sprintf(name, ledger.Sizes[i]) || len(file["sha256"].(string)) != 64 || file["most"].(float64) < 1<<20 {
				t.Error(file)
			}
		}
	}
	if info["unsafe_development"] != true || info["keys_hash"] != ledger.KeysHash {
		t.Error(info)
	}
	domain := askOne(t, "ledger.domain", `{"chain_id": 31415926, "ledger": "0x5ba1e0000000000000000000000000000005ba1e"}`)
	if domain["result"].(map[string]any)["domain"] == nil {
		t.Error(domain)
	}
}

const honestInsert = `{"domain": "0x1", "size": 8, "window": 0, "leaves": [], "operations": [{"index": 3, "lease_id": "0x1", "x": "0x0", "y": "0x1", "amount": "0", "seconds": 0, "insert": true}]}`

func TestMissingProvingKeyIsAMatterOfConfigAndNamesItsSize(t *testing.T) {
	a := askOne(t, "ledger.prove", honestInsert)
	if codeOf(a) != "config" || !strings.Contains(messageOf(a), "size 8") || !strings.Contains(messageOf(a), "shale provider keys make --size 8") {
		t.Fatal(a)
	}
}

func TestMissingKeyOfACeremonyIsFetchedNotMade(t *testing.T) {
	err := explain(&ledger.Keys{}, ledger.ErrNoKeys, 64)
	if !strings.HasSuffix(err.Error(), "run shale provider keys fetch SOURCE --size 64") {
		t.Fatal(err)
	}
}

func TestWrongOperationIsRefusedBeforeKeysAreNeeded(t *testing.T) {
	a := askOne(t, "ledger.prove", strings.Replace(honestInsert, `"insert"`, `"close"`, 1))
	if codeOf(a) != "refused" || messageOf(a) != "operation 0: no leaf at index 3: insert it first" {
		t.Fatal(a)
	}
}

func TestBatchOutsideItsWindowOrOfNoSizeIsRefused(t *testing.T) {
	for _, c := range []struct{ given, instead, reason string }{
		{`"size": 8`, `"size": 7`, "no batches of 7 slots"},
		{`"size": 8`, `"size": 0`, "no batches of 0 slots"},
		{`"size": 8`, `"size": null`, "size and window are needed"},
		{`"window": 0`, `"window": 131072`, "not below 131072"},
		{`"window": 0`, `"window": 1`, "index 3 is not in the window, 8 to 15"},
		{`"window": 0`, `"window": -1`, "window must be uint32"},
		{`"leaves": []`, `"leaves": [], "roots": []`, "unknown field"},
	} {
		params := strings.Replace(honestInsert, c.given, c.instead, 1)
		if a := askOne(t, "ledger.prove", params); codeOf(a) != "refused" || !strings.Contains(messageOf(a), c.reason) {
			t.Errorf("%s: %v", c.instead, a)
		}
	}
}

func TestManyVouchersAreAnsweredInTheirOrder(t *testing.T) {
	made := askOne(t, "voucher.keygen", "{}")["result"].(map[string]any)
	values := `"domain": "0x1", "lease_id": "0x2", "amount": "5", "seconds": 6`
	signed := askOne(t, "voucher.sign", fmt.Sprintf(`{"secret": %q, %s}`, made["secret"], values))["result"].(map[string]any)
	item := fmt.Sprintf(`{"x": %q, "y": %q, "signature": %q, %s}`, made["x"], made["y"], signed["signature"], values)
	wrong := strings.Replace(item, `"amount": "5"`, `"amount": "6"`, 1)
	a := askOne(t, "voucher.verify_many", fmt.Sprintf(`{"items": [%s, %s, %s]}`, item, wrong, item))
	if got := fmt.Sprint(a["result"]); got != "map[valid:[true false true]]" {
		t.Fatal(a)
	}
	for _, params := range []string{`{}`, `{"items": []}`, `{"items": [` + strings.Repeat(item+",", maxMany) + item + `]}`, `{"items": [{}]}`} {
		if a := askOne(t, "voucher.verify_many", params); codeOf(a) != "refused" {
			t.Errorf("%.40s: %.200v", params, a)
		}
	}
}

func TestLinesThatAreNoRequestsAreRefusedAndTheNextOneIsAnswered(t *testing.T) {
	for _, line := range []string{"garbage", `"text"`, strings.Repeat("x", maxLine+1), `{"id": "` + strings.Repeat("9", 100) + `"}`} {
		answers := ask(t, newServer(t.TempDir(), nil), line, "", `{"id": 2, "method": "voucher.keygen"}`)
		if codeOf(answers["<nil>"]) != "refused" || answers["2"]["result"] == nil {
			t.Errorf("%.20s: %v", line, answers)
		}
	}
}

func TestUnknownMethodIsRefused(t *testing.T) {
	if a := askOne(t, "voucher.steal", "{}"); codeOf(a) != "refused" {
		t.Fatal(a)
	}
}

func TestPanicIsABugOfOneLineAndTheServerLives(t *testing.T) {
	s := newServer(t.TempDir(), nil)
	s.methods["crash"] = quick(func(json.RawMessage) (any, error) { panic("secret\nvalue") })
	answers := ask(t, s, `{"id": 1, "method": "crash"}`, `{"id": 2, "method": "voucher.keygen"}`)
	if codeOf(answers["1"]) != "bug" || strings.Contains(messageOf(answers["1"]), "secret") || answers["2"]["result"] == nil {
		t.Fatal(answers)
	}
}

func TestVouchersAreAnsweredWhileTheProverIsBusyAndTheQueueIsBounded(t *testing.T) {
	s := newServer(t.TempDir(), nil)
	release, signed := make(chan struct{}), make(chan struct{})
	s.methods["wait"] = slow(func(json.RawMessage) (any, error) { <-release; return true, nil })
	s.methods["quick"] = quick(func(json.RawMessage) (any, error) { close(signed); return true, nil })
	go func() { <-signed; close(release) }()
	lines := []string{}
	for i := range maxSlow + 1 {
		lines = append(lines, fmt.Sprintf(`{"id": %d, "method": "wait"}`, i))
	}
	answers := ask(t, s, append(lines, `{"id": 99, "method": "quick"}`)...)
	if answers["99"]["result"] != true || codeOf(answers[fmt.Sprint(maxSlow)]) != "unavailable" || answers["0"]["result"] != true {
		t.Fatal(answers)
	}
}
