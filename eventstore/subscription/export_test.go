package subscription

import "time"

// Steal returns the records of a subscription after another instance, which lives, took a
// partition.
func Steal(feedName, name string, number int, sharedRecord, partitionRecord []byte) (newShared, newPartition []byte, err error) {
	k := keysOf(feedName, name)
	sh, err := decodeShared(k.partition, sharedRecord)
	if err != nil {
		return nil, nil, err
	}
	p, err := decodePartition(k.partition, number, partitionRecord)
	if err != nil {
		return nil, nil, err
	}
	sh.instances = append(sh.instances, member{"thief", 1, time.Hour})
	p.owner, p.term = "thief", p.term+1
	return sh.encode(k.partition), p.encode(k.partition), nil
}
