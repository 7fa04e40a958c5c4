package page

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/hexalith/eventstores-go/cmd/demo/bank"
)

// cell is the balance over a range of versions.
type cell struct {
	first     int64
	low, high bank.Money
	last      bank.Money
}

// curve is the balance over consecutive versions, in at most maxCells cells. At first a cell is one
// version. When the cells run out, each covers twice as many versions. A cell keeps its lowest and
// highest balance, so that no peak is lost.
type curve struct {
	cells []cell
	width int64 // versions in a cell
	end   int64 // the last version
}

// add adds the balance after the next version.
func (c *curve) add(version int64, balance bank.Money) {
	c.width = max(1, c.width)
	c.end = version
	if n := len(c.cells); n > 0 && version < c.cells[n-1].first+c.width {
		newest := &c.cells[n-1]
		newest.low, newest.high, newest.last = min(newest.low, balance), max(newest.high, balance), balance
		return
	}
	if len(c.cells) == maxCells {
		for i := range maxCells / 2 {
			a, b := c.cells[2*i], c.cells[2*i+1]
			c.cells[i] = cell{first: a.first, low: min(a.low, b.low), high: max(a.high, b.high), last: b.last}
		}
		c.cells = c.cells[:maxCells/2]
		c.width *= 2
	}
	c.cells = append(c.cells, cell{first: version, low: balance, high: balance, last: balance})
}

// at returns the balance at a version. If a cell has several versions, it is the balance at the end
// of the cell.
func (c *curve) at(version int64) bank.Money {
	return c.cells[(version-c.cells[0].first)/c.width].last
}

// The size of the chart. The page stretches it to the available width.
const (
	chartWidth  = 1000
	chartHeight = 100
	chartBeyond = 12 // extends the line of the newest balance, so that it is visible
)

// chart is a curve in the form in which the page draws it.
type chart struct {
	Line, Area string // SVG paths
	Rules      []string
	Labels     []string // labels of the rules, from the lowest
	Marks      []mark   // snapshots
	Shown      mark
	Low, High  bank.Money
	First      int64 // version
	Last       int64
	Snapshots  int // the number of all snapshots
}

// mark is a point on the curve.
type mark struct {
	Version int64
	Balance bank.Money
	X, Y    string
}

// draw draws a curve with its snapshots and the shown version.
func (c *curve) draw(snapshots []int64, shown int64, balance bank.Money) chart {
	d := chart{Low: math.MaxInt64, First: c.cells[0].first, Last: c.end, Snapshots: len(snapshots)}
	for _, cell := range c.cells {
		d.Low, d.High = min(d.Low, cell.low), max(d.High, cell.high)
	}
	step, rules := scale(d.High)
	top := float64(step) * float64(rules)
	x := func(version int64) string {
		return coordinate(chartWidth * float64(version-d.First) / float64(max(1, d.Last-d.First)))
	}
	y := func(m bank.Money) string { return coordinate(chartHeight * (1 - float64(m)/top)) }

	var line strings.Builder
	for i, cell := range c.cells {
		if i == 0 {
			fmt.Fprintf(&line, "M%s %s", x(cell.first), y(cell.last))
			if cell.low == cell.high {
				continue
			}
		} else {
			fmt.Fprintf(&line, "H%s", x(cell.first))
		}
		if cell.low != cell.high {
			fmt.Fprintf(&line, "V%sV%s", y(cell.high), y(cell.low))
		}
		fmt.Fprintf(&line, "V%s", y(cell.last))
	}
	fmt.Fprintf(&line, "H%d", chartWidth+chartBeyond)
	d.Line = line.String()
	d.Area = fmt.Sprintf("%sV%dH0Z", d.Line, chartHeight)

	for i := range rules + 1 {
		d.Rules = append(d.Rules, coordinate(chartHeight*(1-float64(i)/float64(rules))))
		label := "" // empty above the largest amount of money
		if i == 0 || step <= math.MaxInt64/bank.Money(i) {
			label = strings.TrimSuffix((step * bank.Money(i)).String(), ".00")
		}
		d.Labels = append(d.Labels, label)
	}
	snapshots = slices.DeleteFunc(slices.Clone(snapshots), func(version int64) bool { return version < d.First || version > d.Last })
	every := (len(snapshots) + maxMarks - 1) / maxMarks
	for i := len(snapshots) - 1; i >= 0; i -= every {
		version := snapshots[i]
		d.Marks = append(d.Marks, mark{version, c.at(version), x(version), y(c.at(version))})
	}
	d.Shown = mark{shown, balance, x(shown), y(balance)}
	return d
}

// scale returns the step between the rules of a chart from 0 to high, and the number of steps. The
// step is a round number, and there are two to five of them.
func scale(high bank.Money) (step bank.Money, rules int) {
	high = max(high, 1_00)
	step = 1
	for i := 0; high/step >= 5; i++ {
		if i%3 == 1 { // 1, 2, 5, 10, …
			step = step / 2 * 5
		} else {
			step *= 2
		}
	}
	return step, int((high-1)/step) + 1
}

func coordinate(f float64) string { return strconv.FormatFloat(math.Round(f*10)/10, 'f', -1, 64) }
