// Package redisserver asks a Redis server for the settings that decide whether history is kept.
package redisserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"time"

	dapr "github.com/dapr/components-contrib/common/component/redis"
	"github.com/redis/go-redis/v9"
)

// Settings are the settings of one server. A setting that the server does not have is empty.
type Settings struct {
	MaxmemoryPolicy string
	AppendOnly      string
	AppendFsync     string
}

// Ask asks the server to which a Dapr component with these properties (redisHost, redisPassword, …)
// connects. In a cluster it asks any one node. Many hosted servers do not answer, because they do
// not allow CONFIG.
func Ask(ctx context.Context, properties map[string]string) (Settings, error) {
	client, err := connect(properties)
	if err != nil {
		return Settings{}, err
	}
	defer client.Close()
	var s Settings
	for name, to := range map[string]*string{
		"maxmemory-policy": &s.MaxmemoryPolicy,
		"appendonly":       &s.AppendOnly,
		"appendfsync":      &s.AppendFsync,
	} {
		answer, err := client.Do(ctx, "CONFIG", "GET", name).Result()
		if err != nil {
			return Settings{}, fmt.Errorf("CONFIG GET %s: %w", name, err)
		}
		*to = value(answer, name)
	}
	return s, nil
}

// connect returns a client for the properties of a Dapr component. The client connects with its
// first request.
func connect(properties map[string]string) (redis.UniversalClient, error) {
	var p dapr.Settings
	if err := p.Decode(properties); err != nil {
		return nil, err
	}
	if p.UseEntraID {
		return nil, errors.New("the server uses Entra ID, which is not supported here")
	}
	options := &redis.UniversalOptions{
		Addrs:                 strings.Split(p.Host, ","),
		Username:              p.Username,
		Password:              p.Password,
		DB:                    p.DB,
		SentinelUsername:      p.SentinelUsername,
		SentinelPassword:      p.SentinelPassword,
		MaxRetries:            p.RedisMaxRetries,
		MinRetryBackoff:       time.Duration(p.RedisMinRetryInterval),
		MaxRetryBackoff:       time.Duration(p.RedisMaxRetryInterval),
		DialTimeout:           time.Duration(p.DialTimeout),
		ReadTimeout:           time.Duration(p.ReadTimeout),
		WriteTimeout:          time.Duration(p.WriteTimeout),
		ContextTimeoutEnabled: true,
	}
	if p.EnableTLS {
		options.TLSConfig = &tls.Config{InsecureSkipVerify: p.InsecureSkipTLSVerify}
		if err := p.SetCertificate(func(own *tls.Certificate) { options.TLSConfig.Certificates = []tls.Certificate{*own} }); err != nil {
			return nil, err
		}
	}
	switch {
	case p.Failover:
		options.MasterName = p.SentinelMasterName
		return redis.NewFailoverClient(options.Failover()), nil
	case p.RedisType == dapr.ClusterType:
		return redis.NewClusterClient(options.Cluster()), nil
	}
	options.Addrs = options.Addrs[:1]
	return redis.NewClient(options.Simple()), nil
}

// value returns the setting from an answer: a list of name and value, or a map with the newer
// protocol.
func value(answer any, name string) string {
	switch a := answer.(type) {
	case []any:
		for i := 0; i+1 < len(a); i += 2 {
			if fmt.Sprint(a[i]) == name {
				return fmt.Sprint(a[i+1])
			}
		}
	case map[any]any:
		if v, ok := a[name]; ok {
			return fmt.Sprint(v)
		}
	}
	return ""
}

// Flaws returns what is wrong with the settings, each with a remedy.
func (s Settings) Flaws() []string {
	var flaws []string
	if s.Evicts() {
		flaws = append(flaws, fmt.Sprintf("maxmemory-policy is %s: the server deletes history when memory runs out; set it to noeviction", s.MaxmemoryPolicy))
	}
	switch {
	case s.AppendOnly == "no":
		flaws = append(flaws, "appendonly is no: a restart loses the writes since the last save; set it to yes, and appendfsync to always")
	case s.AppendOnly == "yes" && s.AppendFsync != "always":
		flaws = append(flaws, fmt.Sprintf("appendfsync is %s: a power cut loses the last second or more of acknowledged appends; set it to always", s.AppendFsync))
	}
	return flaws
}

// Evicts reports whether the server may evict keys.
func (s Settings) Evicts() bool {
	return s.MaxmemoryPolicy != "" && !strings.EqualFold(s.MaxmemoryPolicy, "noeviction")
}
