package main

import (
	"github.com/dapr/components-contrib/crypto/localstorage"
	lockredis "github.com/dapr/components-contrib/lock/redis"
	"github.com/dapr/components-contrib/nameresolution/mdns"
	"github.com/dapr/components-contrib/nameresolution/nameformat"
	pubsubmemory "github.com/dapr/components-contrib/pubsub/in-memory"
	pubsubredis "github.com/dapr/components-contrib/pubsub/redis"
	"github.com/dapr/components-contrib/secretstores/kubernetes"
	secretsenv "github.com/dapr/components-contrib/secretstores/local/env"
	secretsfile "github.com/dapr/components-contrib/secretstores/local/file"
	"github.com/dapr/components-contrib/state/etcd"
	statememory "github.com/dapr/components-contrib/state/in-memory"
	"github.com/dapr/components-contrib/state/mysql"
	postgresv1 "github.com/dapr/components-contrib/state/postgresql/v1"
	postgresv2 "github.com/dapr/components-contrib/state/postgresql/v2"
	stateredis "github.com/dapr/components-contrib/state/redis"
	"github.com/dapr/components-contrib/state/sqlite"
	dapr "github.com/dapr/dapr/pkg/components"
	cryptos "github.com/dapr/dapr/pkg/components/crypto"
	locks "github.com/dapr/dapr/pkg/components/lock"
	names "github.com/dapr/dapr/pkg/components/nameresolution"
	pubsubs "github.com/dapr/dapr/pkg/components/pubsub"
	secrets "github.com/dapr/dapr/pkg/components/secretstores"
	states "github.com/dapr/dapr/pkg/components/state"
	"github.com/dapr/dapr/pkg/runtime/registry"
	"github.com/dapr/kit/logger"
)

// components registers the components of this sidecar, under the names and versions that the
// released daprd uses.
func components() *registry.Options {
	contrib := logger.NewLogger("dapr.contrib")

	state := states.DefaultRegistry
	state.Logger = contrib
	state.RegisterComponent(statememory.NewInMemoryStateStore, "in-memory")
	state.RegisterComponent(stateredis.NewRedisStateStore, "redis")
	state.RegisterComponent(sqlite.NewSQLiteStateStore, "sqlite", "sqlite3")
	state.RegisterComponent(mysql.NewMySQLStateStore, "mysql")
	for _, name := range []string{"postgres", "postgresql"} {
		state.RegisterComponentWithVersions(name, dapr.Versioning{
			Preferred: dapr.VersionConstructor{Version: "v2", Constructor: postgresv2.NewPostgreSQLStateStore},
			Others:    []dapr.VersionConstructor{{Version: "v1", Constructor: postgresv1.NewPostgreSQLStateStore}},
			Default:   "v1",
		})
	}
	state.RegisterComponentWithVersions("etcd", dapr.Versioning{
		Preferred:  dapr.VersionConstructor{Version: "v2", Constructor: etcd.NewEtcdStateStoreV2},
		Deprecated: []dapr.VersionConstructor{{Version: "v1", Constructor: etcd.NewEtcdStateStoreV1}},
		Default:    "v1",
	})

	lock := locks.DefaultRegistry
	lock.Logger = contrib
	lock.RegisterComponent(lockredis.NewStandaloneRedisLock, "redis")

	pubsub := pubsubs.DefaultRegistry
	pubsub.Logger = contrib
	pubsub.RegisterComponent(pubsubmemory.New, "in-memory")
	pubsub.RegisterComponent(pubsubredis.NewRedisStreams, "redis")

	secret := secrets.DefaultRegistry
	secret.Logger = contrib
	secret.RegisterComponent(secretsenv.NewEnvSecretStore, "local.env")
	secret.RegisterComponent(secretsfile.NewLocalSecretStore, "local.file")
	secret.RegisterComponent(kubernetes.NewKubernetesSecretStore, "kubernetes")

	crypto := cryptos.DefaultRegistry
	crypto.Logger = contrib
	crypto.RegisterComponent(localstorage.NewLocalStorageCrypto, "dapr.localstorage")

	name := names.DefaultRegistry
	name.Logger = contrib
	name.RegisterComponent(mdns.NewResolver, "mdns")
	name.RegisterComponent(nameformat.NewResolver, "nameformat")

	return registry.NewOptions().
		WithStateStores(state).
		WithLocks(lock).
		WithPubSubs(pubsub).
		WithSecretStores(secret).
		WithCryptoProviders(crypto).
		WithNameResolutions(name)
}
