//! The picture: an SVG that says itself what was run, of which commit and on which machine.

use std::io;

use inferno::flamegraph::color::{MultiPalette, Palette};
use inferno::flamegraph::{Options, from_lines};

use crate::stacks::{Stacks, to_text};

/// A frame narrower than this share of the picture, in per cent, is left out: nobody could see it.
const FRAME_MIN_PERCENT: f64 = 0.1;

/// Wide enough for the line that tells the conditions.
const WIDTH: usize = 1600;

/// What stands above the picture.
pub struct Caption {
    /// What the broker was loaded with.
    pub workload: String,
    /// The arguments of `corelane-flame` that recorded it.
    pub command: String,
    /// What was built.
    pub commit: String,
    /// When, and on which machine.
    pub machine: String,
}

/// Draws a profile. Errors: none of its stacks can be drawn.
pub fn draw(stacks: &Stacks, caption: &Caption) -> io::Result<String> {
    let Caption { workload, command, commit, machine } = caption;
    let mut options = Options::default();
    options.title = format!("Corelane under {workload}: CPU time by call chain, {commit}");
    options.subtitle = Some(format!("{command} · {machine}"));
    // Becomes a comment, in which XML allows no double hyphen.
    options.notes = format!("{commit}; {machine}").replace("--", "-");
    options.count_name = "us".to_owned();
    options.colors = Palette::Multi(MultiPalette::Rust);
    // The same name has the same colour in every picture.
    options.deterministic = true;
    options.min_width = FRAME_MIN_PERCENT;
    options.image_width = Some(WIDTH);
    let folded = to_text(stacks);
    let mut svg = Vec::new();
    from_lines(&mut options, folded.lines(), &mut svg).map_err(io::Error::other)?;
    let svg = String::from_utf8(svg).map_err(io::Error::other)?;
    // inferno's script has lines with spaces at their ends.
    Ok(svg.lines().map(|line| line.trim_end().to_owned() + "\n").collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_says_what_it_shows() {
        let stacks =
            Stacks::from([("shard;a::b;c_[k]".to_owned(), 5_000_000), ("shard;d::e".to_owned(), 7_000)]);
        let caption = Caption {
            workload: "some-load".to_owned(),
            command: "record some-load --duration 1s".to_owned(),
            commit: "commit 123".to_owned(),
            machine: "a machine -- loaded".to_owned(),
        };
        let svg = draw(&stacks, &caption).expect("drawn");
        for part in [
            "Corelane under some-load: CPU time by call chain, commit 123",
            "record some-load --duration 1s · a machine -- loaded",
            "NOTES: commit 123; a machine - loaded-->",
            "a::b",
            "5,000 us",
        ] {
            assert!(svg.contains(part), "{part} is not in the picture");
        }
        for comment in svg.split("<!--").skip(1) {
            let inside = comment.split("-->").next().unwrap_or_default();
            assert!(!inside.contains("--"), "no XML: {inside}");
        }
        assert!(svg.lines().all(|line| !line.ends_with(' ')));
    }
}
