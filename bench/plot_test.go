package bench

import (
	"fmt"
	"strings"
)

// The picture has a panel for each case, two panels in a row. A panel has a bar for each store, as
// long as the ratio, and a mark at the target.
const (
	panelWidth  = 440
	rowHeight   = 18
	panelHead   = 30
	nameWidth   = 140
	barWidth    = 220 // of the longest bar
	plotMargin  = 16
	panelBelow  = 22
	plotColumns = 2
)

const plotStyle = `<style>
text { font: 12px system-ui, sans-serif; fill: #24292f }
.case { font-weight: 600; font-size: 13px }
.value { font-variant-numeric: tabular-nums }
.met { fill: #2f7ebc } .missed { fill: #c2571a } .free { fill: #8b949e }
.target { stroke: #24292f; stroke-width: 2 } .axis { stroke: #8b949e; stroke-width: 1 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.met { fill: #58a6e0 } .missed { fill: #f0883e } .free { fill: #6e7681 }
.target { stroke: #e6edf3 }
}
</style>
`

// plot returns an SVG picture of the ratios to the floor.
func (r report) plot() string {
	var panels [][]result
	for _, c := range comparisons {
		var panel []result
		for _, result := range r.against("floor") {
			if result.name == c.name && c.against == "floor" && result.limit.ratio > 0 {
				panel = append(panel, result)
			}
		}
		if len(panel) > 0 {
			panels = append(panels, panel)
		}
	}
	var body strings.Builder
	y, highest := plotMargin+24, 0
	for i, panel := range panels {
		column := i % plotColumns
		if column == 0 {
			y += highest
			highest = 0
		}
		drawPanel(&body, plotMargin+column*panelWidth, y, panel)
		highest = max(highest, panelHead+len(panel)*rowHeight+panelBelow)
	}
	width, height := 2*plotMargin+plotColumns*panelWidth, y+highest
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="Ratio of the event store to the floor, by case and store">
%s<text x="%d" y="24">Time of the event store / time of the floor. The line across a bar marks the target. Blue bars meet it.</text>
%s</svg>
`, width, height, width, height, plotStyle, plotMargin, body.String())
}

// drawPanel draws the results of one case. A bar that is too long for the panel ends in an arrow.
func drawPanel(b *strings.Builder, x, y int, panel []result) {
	longest := 0.0
	for _, r := range panel {
		longest = max(longest, r.limit.ratio)
	}
	longest *= 2
	at := func(ratio float64) float64 { return float64(x+nameWidth) + barWidth*ratio/longest }
	fmt.Fprintf(b, "<text class=\"case\" x=\"%d\" y=\"%d\">%s</text>\n", x, y+18, panel[0].name)
	for i, r := range panel {
		top := y + panelHead + i*rowHeight
		class := "missed"
		if r.limit.met(r) {
			class = "met"
		}
		fmt.Fprintf(b, "<text x=\"%d\" y=\"%d\">%s</text>\n", x, top+12, r.store)
		end := min(at(r.ratio), at(longest))
		if r.ratio <= longest {
			fmt.Fprintf(b, "<rect class=\"%s\" x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\"/>\n", class, x+nameWidth, top+3, end-float64(x+nameWidth), rowHeight-7)
		} else {
			middle := float64(top) + 3 + float64(rowHeight-7)/2
			fmt.Fprintf(b, "<path class=\"%s\" d=\"M%d %d H%.1f L%.1f %.1f L%.1f %d H%d Z\"/>\n", class,
				x+nameWidth, top+3, end-8, end, middle, end-8, top+rowHeight-4, x+nameWidth)
		}
		fmt.Fprintf(b, "<line class=\"target\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>\n", at(r.limit.ratio), at(r.limit.ratio), top, top+rowHeight-1)
		fmt.Fprintf(b, "<text class=\"value\" x=\"%.1f\" y=\"%d\">%s</text>\n", max(end, at(r.limit.ratio))+6, top+12, ratio(r.ratio))
	}
	fmt.Fprintf(b, "<line class=\"axis\" x1=\"%d\" x2=\"%d\" y1=\"%d\" y2=\"%d\"/>\n", x+nameWidth, x+nameWidth, y+panelHead, y+panelHead+len(panel)*rowHeight)
}
