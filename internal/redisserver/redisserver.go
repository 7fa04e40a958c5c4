// Package redisserver asks a Redis server for those of its settings on which it depends whether history lasts.
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

// Settings are those of one server. Empty ones the server does not have.
type Settings struct {
	MaxmemoryPolicy string
	AppendOnly      string
	AppendFsync     string
}

// Ask asks the server to which a Dapr component with these properties (redisHost, redisPassword, …) connects; of a
// cluster any one. Many hosted servers do not answer: CONFIG is not for everybody there.
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

// connect makes a client for the properties of a Dapr component. It connects with the first request.
func connect(properties map[string]string) (redis.UniversalClient, error) {
	var p dapr.Settings
	if err := p.Decode(properties); err != nil {
		return nil, err
	}
	if p.UseEntraID {
		return nil, errors.New("it lets in by Entra ID, which is not asked here")
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

// value is the setting in the answer: a list of name and value, or a map with the newer protocol.
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

// Flaws are what is wrong with the settings, each with what to do.
func (s Settings) Flaws() []string {
	var flaws []string
	if s.Evicts() {
		flaws = append(flaws, fmt.Sprintf("maxmemory-policy is %s: when memory runs out the server throws history away; set it to noeviction", s.MaxmemoryPolicy))
	}
	switch {
	case s.AppendOnly == "no":
		flaws = append(flaws, "appendonly is no: a restart loses what was written since the last save; set it to yes, and appendfsync to always")
	case s.AppendOnly == "yes" && s.AppendFsync != "always":
		flaws = append(flaws, fmt.Sprintf("appendfsync is %s: a power cut loses the last second or more of acknowledged appends; set it to always", s.AppendFsync))
	}
	return flaws
}

// Evicts reports whether the server may throw keys away.
func (s Settings) Evicts() bool {
	return s.MaxmemoryPolicy != "" && !strings.EqualFold(s.MaxmemoryPolicy, "noeviction")
}
