package commp

// loops are the ways of hashPairs that this processor has.
func loops() map[string]func(dst, src []byte) {
	found := map[string]func(dst, src []byte){"portable": hashPairsPortable}
	if has2 {
		found["two lanes"] = hashPairs2
	}
	if has16 {
		found["sixteen lanes"] = hashPairs16
		found["sixteen lanes, no two"] = func(dst, src []byte) {
			defer func(had bool) { has2 = had }(has2)
			has2 = false
			hashPairs16(dst, src)
		}
	}
	return found
}
