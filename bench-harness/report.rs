//! The HTML report: one file that needs nothing else, with the results of any number of runs inside.
//!
//! The page draws itself (`report/charts.js`) from the results as they were stored, so an old result is drawn as well as a
//! new one, and whoever has the page has the figures.

use std::io;

use serde_json::Value;

const PAGE: &str = include_str!("report/page.html");
const STYLE: &str = include_str!("report/style.css");
const SCRIPT: &str = include_str!("report/charts.js");

/// A page for these results. Errors: there are none.
pub fn page(runs: &[Value]) -> io::Result<String> {
    if runs.is_empty() {
        return Err(io::Error::other("there is no run to report"));
    }
    // A text inside the results must not end the script element that holds it.
    let data = serde_json::to_string(runs)?.replace("</", "<\\/").replace("<!--", "<\\u0021--");
    let (front, rest) = PAGE.split_once("/*STYLE*/").expect("the page has a place for its style");
    let (middle, rest) = rest.split_once("/*DATA*/").expect("the page has a place for its data");
    let (between, end) = rest.split_once("/*SCRIPT*/").expect("the page has a place for its script");
    Ok([front, STYLE, middle, &data, between, SCRIPT, end].concat())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_page_holds_everything_and_fetches_nothing() {
        let runs =
            [json!({ "label": "a</script><script>alert(1)</script>", "workload": { "name": "w<!--" } })];
        let page = page(&runs).expect("a page");
        assert!(!page.contains("</script><script>alert"), "results cannot break out of their element");
        assert!(!page.contains("w<!--"));
        assert_eq!(page.matches("</script>").count(), 2);
        for outside in ["src=\"", "href=\"", "@import", "url(", "fetch("] {
            assert!(!page.contains(outside), "{outside} would need something else");
        }
        for placeholder in ["/*STYLE*/", "/*DATA*/", "/*SCRIPT*/"] {
            assert!(!page.contains(placeholder));
        }
        let data =
            page.split("id=\"data\">").nth(1).and_then(|rest| rest.split("</script>").next()).expect("data");
        let read: Value = serde_json::from_str(data).expect("still JSON");
        assert_eq!(read, Value::Array(runs.to_vec()));
        assert!(super::page(&[]).is_err());
    }
}
