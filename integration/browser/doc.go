// Package browser holds the tests of the demo's pages and of the console in a real browser,
// headless Chromium, over a real store.
package browser
