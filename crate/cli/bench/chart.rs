//! Lines on two logarithmic axes, as an SVG file.

use std::fmt::Write;

/// A picture.
pub(super) struct Chart {
    pub(super) title: String,
    pub(super) across: String,
    pub(super) up: String,
    pub(super) lines: Vec<Line>,
}

/// Points (across, up), all above 0, in the order in which they are joined.
pub(super) struct Line {
    pub(super) label: String,
    pub(super) points: Vec<(f64, f64)>,
}

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 480.0;
/// What is left free around the field: left, right, top, bottom.
const MARGINS: [f64; 4] = [64.0, 230.0, 44.0, 52.0];
/// Okabe and Ito's colours, which the colour-blind tell apart.
const COLOURS: [&str; 7] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"];

/// An axis: powers of two from one end to the other.
struct Axis {
    least: f64,
    most: f64,
    /// where these lie on the picture
    from: f64,
    to: f64,
}

impl Axis {
    fn of(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        let (least, most) = values
            .filter(|v| *v > 0.0 && v.is_finite())
            .fold((0.0f64, 1.0f64), |(least, most), v| (least.min(v.log2().floor()), most.max(v.log2().ceil())));
        Self { least, most, from, to }
    }

    fn place(&self, value: f64) -> f64 {
        let value = value.log2().clamp(self.least, self.most);
        self.from + (value - self.least) / (self.most - self.least) * (self.to - self.from)
    }

    /// Every power of two, or every second or fourth where they would stand too close.
    fn marks(&self) -> impl Iterator<Item = f64> {
        let step = ((self.most - self.least) / 10.0).ceil().max(1.0) as usize;
        (self.least as i32..=self.most as i32).step_by(step).map(f64::from).map(f64::exp2)
    }
}

impl Chart {
    /// The file's text.
    pub(super) fn svg(&self) -> String {
        let [left, right, top, bottom] = MARGINS;
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let x = Axis::of(points().map(|p| p.0), left, WIDTH - right);
        let y = Axis::of(points().map(|p| p.1), HEIGHT - bottom, top);
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
             font-family=\"system-ui, sans-serif\" font-size=\"13\">\n<title>{0}</title>\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
             <text x=\"{left}\" y=\"24\" font-size=\"16\">{0}</text>\n",
            escaped(&self.title)
        );
        let mut line = |[x1, y1, x2, y2]: [f64; 4], colour: &str, more: &str| {
            let _ = writeln!(
                out,
                "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{colour}\"{more}/>"
            );
        };
        x.marks().for_each(|mark| line([x.place(mark), y.from, x.place(mark), y.to], "#e4e4e4", ""));
        y.marks().for_each(|mark| line([x.from, y.place(mark), x.to, y.place(mark)], "#e4e4e4", ""));
        // what grows as its size does
        let most = x.most.min(y.most).exp2();
        line([x.place(1.0), y.place(1.0), x.place(most), y.place(most)], "#999", " stroke-dasharray=\"4 4\"");
        let mut text = |at: [f64; 2], anchor: &str, more: &str, words: &str| {
            let [at_x, at_y] = at;
            let words = escaped(words);
            let _ =
                writeln!(out, "<text x=\"{at_x:.1}\" y=\"{at_y:.1}\" text-anchor=\"{anchor}\"{more}>{words}</text>");
        };
        x.marks().for_each(|mark| text([x.place(mark), y.from + 18.0], "middle", "", &mark.to_string()));
        y.marks().for_each(|mark| text([x.from - 8.0, y.place(mark) + 4.0], "end", "", &mark.to_string()));
        text([(x.from + x.to) / 2.0, HEIGHT - 12.0], "middle", "", &self.across);
        let middle = (y.from + y.to) / 2.0;
        text([16.0, middle], "middle", &format!(" transform=\"rotate(-90 16 {middle})\""), &self.up);
        for (i, Line { label, points }) in self.lines.iter().enumerate() {
            let colour = COLOURS[i % COLOURS.len()];
            let places: Vec<String> =
                points.iter().map(|p| format!("{:.1},{:.1}", x.place(p.0), y.place(p.1))).collect();
            let _ = writeln!(
                out,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
                places.join(" ")
            );
            for (cx, cy) in places.iter().filter_map(|place| place.split_once(',')) {
                let _ = writeln!(out, "<circle cx=\"{cx}\" cy=\"{cy}\" r=\"3.5\" fill=\"{colour}\"/>");
            }
            let (at_x, at_y) = (WIDTH - right + 16.0, top + 14.0 + 22.0 * i as f64);
            let _ = writeln!(
                out,
                "<rect x=\"{at_x}\" y=\"{:.1}\" width=\"12\" height=\"12\" fill=\"{colour}\"/>\n\
                 <text x=\"{}\" y=\"{at_y}\">{}</text>",
                at_y - 11.0,
                at_x + 18.0,
                escaped(label)
            );
        }
        out.push_str("</svg>\n");
        out
    }
}

fn escaped(words: &str) -> String {
    words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_lie_where_their_logarithms_are() {
        let line = |label: &str, points: &[(f64, f64)]| Line { label: label.to_owned(), points: points.to_vec() };
        let chart = Chart {
            title: "a < b".to_owned(),
            across: "size".to_owned(),
            up: "seconds".to_owned(),
            lines: vec![line("x", &[(1.0, 1.0), (2.0, 2.0), (4.0, 4.0)]), line("flat", &[(1.0, 1.0), (4.0, 1.0)])],
        };
        let svg = chart.svg();
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n") && svg.contains("a &lt; b"), "{svg}");
        let points: Vec<Vec<(f64, f64)>> = svg
            .lines()
            .filter_map(|line| line.strip_prefix("<polyline points=\"")?.split('"').next())
            .map(|points| {
                let point = |p: &str| p.split_once(',').map(|(x, y)| (x.parse().unwrap(), y.parse().unwrap()));
                points.split(' ').filter_map(point).collect()
            })
            .collect();
        let [rising, flat] = points.as_slice() else { panic!("{svg}") };
        assert_eq!((rising.len(), flat.len()), (3, 2));
        // halfway in both logarithms
        assert!((rising[1].0 - (rising[0].0 + rising[2].0) / 2.0).abs() < 0.11, "{rising:?}");
        assert!((rising[1].1 - (rising[0].1 + rising[2].1) / 2.0).abs() < 0.11, "{rising:?}");
        assert!(rising[2].1 < rising[0].1 && flat[0].1 == flat[1].1, "up is up");
        assert!(!Chart { lines: Vec::new(), ..chart }.svg().contains("NaN"));
    }
}
