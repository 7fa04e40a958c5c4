package storetest

import (
	"slices"
	"time"
)

// FeedCases returns the names of the cases of TestFeed.
func FeedCases() (names []string) {
	for _, r := range slices.Concat(feedRules, catalogueRules, indexerRules, subscriptionRules, projectionRules, publishingRules, processRules) {
		names = append(names, r.name)
	}
	slices.Sort(names)
	return names
}

// Hurry makes the cases of TestFeed wait for d at most.
func Hurry(d time.Duration) { patience = d }
