//! The figures in `README.md`: what a recording measured stands between two marks, what people read in it around them.

const END: &str = "<!-- end of figures -->";

/// Puts `figures` between the marks of `workload`; none if the text has no such marks.
pub fn replace(readme: &str, workload: &str, figures: &str) -> Option<String> {
    let begin = format!("<!-- figures of {workload} -->\n");
    let (front, rest) = readme.split_once(&begin)?;
    let (_, behind) = rest.split_once(END)?;
    Some([front, &begin, figures.trim_end(), "\n", END, behind].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PROFILES;

    #[test]
    fn only_the_figures_of_one_change() {
        let readme = "a\n<!-- figures of x -->\nold\n<!-- end of figures -->\nread\n<!-- figures of y -->\n<!-- end of figures -->\n";
        let new = replace(readme, "x", "new\n").expect("it has a place");
        assert_eq!(new, readme.replace("old", "new"));
        assert_eq!(replace(readme, "z", "new"), None);
    }

    #[test]
    fn every_profile_has_its_place() {
        let readme = include_str!("README.md");
        for (_, workload) in PROFILES {
            assert!(replace(readme, workload, "").is_some(), "README.md has no figures of {workload}");
            assert!(readme.contains(&format!("({workload}.svg)")), "README.md does not show {workload}.svg");
        }
    }
}
