package stores

// known is what is known about stores that can't be run here. It comes from the source of their
// components, or from the service's documentation where the component leaves it to the service.
var known = map[string]string{
	"state.aws.dynamodb": "The service takes items of at most 400 KB: larger appends are refused before anything is sent. Reads are strong where asked for, as they are here; " +
		"bulk reads ask for one key after the other.",
	"state.azure.blobstorage":  "Conditions by `If-Match` and `If-None-Match`. A request for each key: slow for long streams.",
	"state.azure.cosmosdb":     "The stream is the partition key. The service takes items of at most 2 MB. Appends of more than 1.5 MB are refused, because values are stored in base64. Reads ask for session consistency, which another sidecar may see late. An idempotency id may then be overlooked.",
	"state.azure.tablestorage": "A value is one string, of at most 64 KiB in the service: appends of more than 31 KiB are refused, and payloads that are not UTF-8.",
	"state.cockroachdb":        "Version 2 is PostgreSQL's version 2.",
	"state.yugabytedb":         "It is PostgreSQL's version 2.",
	"state.mongodb": "Values are stored as strings: payloads that are not UTF-8 are refused. It needs `writeConcern: majority` and `readConcern: majority`. Otherwise a failover drops acknowledged writes. " +
		"The service takes documents of at most 16 MB.",
	"state.oracledatabase": "The component makes the key's column `varchar2(100)`: too short for most names, with no error before the write. Create the table beforehand with `varchar2(400)`.",
}
