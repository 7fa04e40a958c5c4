package redis_test

import (
	"net"
	"strings"
	"testing"

	"github.com/hexalith/eventstores-go/adapter/embedded/redis"
)

func TestWhatCanNotBeOpenedSaysWhy(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := listener.Addr().String()
	listener.Close()
	for _, test := range []struct {
		name, address string
		options       []redis.Option
		says          []string
	}{
		{"a blank address", "", nil, []string{"address is blank"}},
		{"a server that does not run", nobody, nil, []string{nobody, "refused"}},
		{"a cluster that does not run", nobody, []redis.Option{redis.WithCluster()}, []string{nobody, "refused"}},
		{"a negative number", nobody, []redis.Option{redis.WithDB(-1)}, []string{"WithDB", "-1"}},
		{"a nil option", nobody, []redis.Option{nil}, []string{"option is nil"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := redis.Open(t.Context(), test.address, test.options...)
			if err == nil {
				t.Fatal("there is no error")
			}
			for _, part := range test.says {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("the error does not say %q: %v", part, err)
				}
			}
		})
	}
}
