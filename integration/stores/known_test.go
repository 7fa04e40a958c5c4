package stores

// known is what is known about stores that can't be run here. It comes from the source of their
// components, or from the service's documentation where the component leaves it to the service.
var known = map[string]string{
	"state.aws.dynamodb": "The service takes items of at most 400 KB, so the event store refuses larger appends before it sends anything. " +
		"Reads are strongly consistent, because the event store asks for that. Bulk reads fetch one key after the other.",
	"state.azure.blobstorage":  "Writes are conditional by `If-Match` and `If-None-Match`. Every key needs a request, which is slow for long streams.",
	"state.azure.cosmosdb":     "The stream is the partition key. The service takes items of at most 2 MB. The event store refuses appends of more than 1.5 MB, because the component stores values in base64. Reads ask for session consistency, so another sidecar may see a write late. The event store may then overlook an idempotency id.",
	"state.azure.tablestorage": "A value is one string of at most 64 KiB. The event store refuses appends of more than 31 KiB, and payloads that are not UTF-8.",
	"state.cockroachdb":        "Version 2 is PostgreSQL's version 2.",
	"state.yugabytedb":         "It is PostgreSQL's version 2.",
	"state.mongodb": "Values are stored as strings, so the event store refuses payloads that are not UTF-8. The store needs `writeConcern: majority` and `readConcern: majority`. Otherwise a failover drops acknowledged writes. " +
		"The service takes documents of at most 16 MB.",
	"state.oracledatabase": "The component makes the key's column `varchar2(100)`. This is too short for most names, and only the write fails. Create the table beforehand with `varchar2(400)`.",
}
