package servers

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"
)

// RedisCluster is a Redis Cluster without replicas.
type RedisCluster struct {
	Masters []*Redis
}

// clusterSlots is the number of hash slots.
const clusterSlots = 16384

// StartRedisCluster starts that many masters, divides the hash slots among them, and waits until
// they know each other.
func StartRedisCluster(t testing.TB, masters int) *RedisCluster {
	t.Helper()
	c := &RedisCluster{}
	buses := FreePorts(t, masters)
	for _, bus := range buses {
		c.Masters = append(c.Masters, StartRedis(t, clustered(bus)))
	}
	_, first, _ := net.SplitHostPort(c.Masters[0].Addr)
	for i, m := range c.Masters {
		from, to := i*clusterSlots/masters, (i+1)*clusterSlots/masters-1
		commands := [][]string{
			{"CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(from), strconv.Itoa(to)},
			{"CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i + 1)},
		}
		if i > 0 {
			commands = append(commands, []string{"CLUSTER", "MEET", "127.0.0.1", first, strconv.Itoa(buses[0])})
		}
		for _, command := range commands {
			if _, err := m.Do(command...); err != nil {
				t.Fatalf("%s: %v", strings.Join(command, " "), err)
			}
		}
	}
	c.awaitAgreement(t)
	return c
}

// clustered makes a Redis the node of a cluster, whose nodes talk to each other on that port.
func clustered(bus int) RedisOption {
	return func(t testing.TB, p *program) {
		dir := t.TempDir()
		p.folders = append(p.folders, dir)
		p.args = append(p.args, "--dir", dir, "--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(bus),
			"--cluster-announce-ip", "127.0.0.1", "--cluster-config-file", "nodes.conf")
	}
}

// awaitAgreement waits until every master reports that all slots are served and that it knows all
// others.
func (c *RedisCluster) awaitAgreement(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for _, m := range c.Masters {
		for {
			info, err := m.Do("CLUSTER", "INFO")
			if err == nil && strings.Contains(info, "cluster_state:ok") && strings.Contains(info, fmt.Sprintf("cluster_size:%d\r", len(c.Masters))) {
				break
			}
			select {
			case <-ctx.Done():
				t.Fatalf("the masters of the Redis Cluster do not agree: %s, %v", info, err)
			case <-tick.C:
			}
		}
	}
}

// Addrs returns the addresses of the masters, separated by commas, as components take them.
func (c *RedisCluster) Addrs() string {
	addrs := make([]string, len(c.Masters))
	for i, m := range c.Masters {
		addrs[i] = m.Addr
	}
	return strings.Join(addrs, ",")
}

// Do sends one command and returns the answer as text. It returns integers and strings as they are,
// and arrays with one element per line.
func (r *Redis) Do(command ...string) (string, error) {
	c, err := net.DialTimeout("tcp", r.Addr, 5*time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	request := fmt.Sprintf("*%d\r\n", len(command))
	for _, word := range command {
		request += fmt.Sprintf("$%d\r\n%s\r\n", len(word), word)
	}
	if _, err := c.Write([]byte(request)); err != nil {
		return "", err
	}
	return redisAnswer(bufio.NewReader(c))
}

// redisAnswer reads one answer of Redis's protocol, version 2.
func redisAnswer(from *bufio.Reader) (string, error) {
	line, err := from.ReadString('\n')
	if err != nil {
		return "", err
	}
	kind, rest := line[0], strings.TrimRight(line[1:], "\r\n")
	switch kind {
	case '+', ':':
		return rest, nil
	case '-':
		return "", errors.New("Redis answers: " + rest)
	}
	n, err := strconv.Atoi(rest)
	if err != nil || n < 0 {
		return "", err // nil, an absent value
	}
	switch kind {
	case '$':
		text := make([]byte, n+len("\r\n"))
		if _, err := io.ReadFull(from, text); err != nil {
			return "", err
		}
		return string(text[:n]), nil
	case '*':
		lines := make([]string, n)
		for i := range lines {
			if lines[i], err = redisAnswer(from); err != nil {
				return "", err
			}
		}
		return strings.Join(lines, "\n"), nil
	default:
		return "", fmt.Errorf("Redis answers %q", line)
	}
}
