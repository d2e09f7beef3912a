package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
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

func TestMissingKeysAreAMatterOfConfig(t *testing.T) {
	for method, params := range map[string]string{
		"ledger.info":   `{}`,
		"ledger.domain": `{"chain_id": 31415926, "ledger": "0x5ba1e0000000000000000000000000000005ba1e"}`,
	} {
		if a := askOne(t, method, params); codeOf(a) != "config" || !strings.Contains(messageOf(a), "shale-kernel setup") {
			t.Errorf("%s: %v", method, a)
		}
	}
}

func TestWrongOperationIsRefusedBeforeKeysAreNeeded(t *testing.T) {
	a := askOne(t, "ledger.prove", `{"domain": "0x1", "leaves": [], "operations": [{"index": 3, "lease_id": "0x1", "x": "0x0", "y": "0x1", "deposit": "5", "amount": "0", "seconds": 0, "close": true}]}`)
	if codeOf(a) != "refused" || messageOf(a) != "operation 0: no leaf at index 3: insert it first" {
		t.Fatal(a)
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
	s.methods["crash"] = method{call: func(json.RawMessage) (any, error) { panic("secret\nvalue") }}
	answers := ask(t, s, `{"id": 1, "method": "crash"}`, `{"id": 2, "method": "voucher.keygen"}`)
	if codeOf(answers["1"]) != "bug" || strings.Contains(messageOf(answers["1"]), "secret") || answers["2"]["result"] == nil {
		t.Fatal(answers)
	}
}

func TestVouchersAreAnsweredWhileTheProverIsBusyAndTheQueueIsBounded(t *testing.T) {
	s := newServer(t.TempDir(), nil)
	release, signed := make(chan struct{}), make(chan struct{})
	s.methods["wait"] = method{slow: true, call: func(json.RawMessage) (any, error) { <-release; return true, nil }}
	s.methods["quick"] = method{call: func(json.RawMessage) (any, error) { close(signed); return true, nil }}
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
