package page

import (
	"errors"
	"strconv"
	"strings"

	"github.com/hexalith/eventstores-go/cmd/demo/bank"
)

var errAmount = errors.New("write the amount in digits, with a point before the cents, if any: 12.34")

// parseAmount parses an amount such as 12, 12.3 or 12.34 into minor units. It does not use floating
// point.
func parseAmount(text string) (bank.Money, error) {
	whole, cents, point := strings.Cut(strings.TrimSpace(text), ".")
	if whole == "" || point && cents == "" || len(cents) > 2 || strings.Trim(whole+cents, "0123456789") != "" {
		return 0, errAmount
	}
	units, err := strconv.ParseInt(whole+(cents + "00")[:2], 10, 64)
	if err != nil {
		return 0, errors.New("the amount is too large")
	}
	return bank.Money(units), nil
}
