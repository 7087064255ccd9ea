//! As much of PromQL as tells what a query asks for. Leaves out what it computes.

/// One `metric{label="value"}` of a query.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Selector {
    pub(crate) metric: String,
    /// Label and value; of `=~` each alternative, without variables of a dashboard.
    pub(crate) matchers: Vec<(String, String)>,
}

/// The selectors of metrics that begin with `prefix`.
pub(crate) fn selectors(text: &str, prefix: &str) -> Vec<Selector> {
    let starts = text.match_indices(prefix).map(|(at, _)| at);
    let fresh = starts.filter(|at| !text[..*at].ends_with(is_name));
    fresh
        .filter_map(|at| {
            let rest = &text[at..];
            let end = rest.find(|it| !is_name(it)).unwrap_or(rest.len());
            let (metric, after) = rest.split_at(end);
            let braces = after.strip_prefix('{').and_then(|it| it.split_once('}'));
            let is_one = metric[prefix.len()..].starts_with(|it: char| it.is_ascii_lowercase());
            is_one.then(|| Selector {
                metric: metric.to_owned(),
                matchers: braces.map_or_else(Vec::new, |(inside, _)| matchers(inside)),
            })
        })
        .collect()
}

/// Labels that are grouped by or joined on, or shown in a legend.
pub(crate) fn grouped(text: &str) -> Vec<&str> {
    let mut labels = Vec::new();
    for clause in ["by (", "on (", "without (", "group_left (", "ignoring ("] {
        for (at, _) in text.match_indices(clause) {
            let inside = text[at + clause.len()..].split(')').next();
            labels.extend(inside.into_iter().flat_map(|it| it.split(',')));
        }
    }
    let labels = labels.into_iter().map(str::trim);
    labels.filter(|it| !it.is_empty()).collect()
}

fn is_name(it: char) -> bool {
    it.is_ascii_alphanumeric() || it == '_' || it == ':'
}

/// Of `a="x", b=~"y|z"`. No value of ours has a comma in it.
fn matchers(inside: &str) -> Vec<(String, String)> {
    inside
        .split(',')
        .filter_map(|it| it.split_once(['=', '!']))
        .flat_map(|(label, value)| {
            let label = label.trim().to_owned();
            let value = value.trim_start_matches(['=', '~']).trim().replace('"', "");
            let values: Vec<String> = value.split('|').map(str::to_owned).collect();
            values.into_iter().map(move |it| (label.clone(), it))
        })
        .filter(|(_, value)| !value.starts_with('$') && !value.is_empty())
        .collect()
}

#[test]
fn what_a_query_asks_for_is_read() {
    let query = "sum by (le, race) (rate(pinscope_a_bucket{job=~\"$job\",x=\"1\", y!~\"2|3\"}[5m])) \
                 / on (instance) pinscope_b";
    let found = selectors(query, "pinscope_");
    let pair = |label: &str, value: &str| (label.to_owned(), value.to_owned());
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].metric, "pinscope_a_bucket");
    assert_eq!(
        found[0].matchers,
        [pair("x", "1"), pair("y", "2"), pair("y", "3")]
    );
    assert_eq!(found[1].metric, "pinscope_b");
    assert_eq!(grouped(query), ["le", "race", "instance"]);
}
