// Package projection keeps read models: documents that are made from the events of many streams.
package projection
