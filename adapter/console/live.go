package console

type live struct{}
