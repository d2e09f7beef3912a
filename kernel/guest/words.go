// Splitting a command without a shell.

package guest

import (
	"errors"
	"strings"
)

var (
	errNeedsShell = errors.New("this image has no shell: only a plain command with arguments can run")
	errQuote      = errors.New("this image has no shell, and the command has an open quote")
)

// splitWords splits a command into words for an image that has no shell, by the shell's rules for quotes. What only
// a shell can do (pipes, variables, patterns) is refused rather than passed on as text.
func splitWords(command string) ([]string, error) {
	var words []string
	var word strings.Builder
	var quote rune
	inWord, escaped := false, false
	for _, char := range command {
		switch {
		case escaped:
			if quote == '"' && !strings.ContainsRune("\"\\$`", char) {
				word.WriteByte('\\')
			}
			word.WriteRune(char)
			escaped = false
		case char == '\\' && quote != '\'':
			escaped, inWord = true, true
		case quote != 0 && char == quote:
			quote = 0
		case quote == '\'':
			word.WriteRune(char)
		case char == '$' || char == '`':
			return nil, errNeedsShell
		case quote == '"':
			word.WriteRune(char)
		case char == '\'' || char == '"':
			quote, inWord = char, true
		case char == ' ' || char == '\t':
			if inWord {
				words = append(words, word.String())
				word.Reset()
				inWord = false
			}
		case strings.ContainsRune("|&;<>()*?[]#~{}!\n", char):
			return nil, errNeedsShell
		default:
			word.WriteRune(char)
			inWord = true
		}
	}
	if quote != 0 || escaped {
		return nil, errQuote
	}
	if inWord {
		words = append(words, word.String())
	}
	if len(words) == 0 {
		return nil, errNeedsShell
	}
	return words, nil
}
