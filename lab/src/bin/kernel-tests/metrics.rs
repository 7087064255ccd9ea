//! One scrape of the agent and what it says: a GET and a reader of the text format, our own,
//! so that the agent's library is not its own judge. It judges no value.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

const PATIENCE: Duration = Duration::from_secs(20);

/// All samples of one scrape.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metrics {
    samples: Vec<Sample>,
}

#[derive(Clone, Debug)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Metrics {
    /// Asks the agent at `address`.
    pub(crate) fn scrape(address: SocketAddr) -> Result<Self> {
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        // HTTP/1.0, so that the body comes in one piece and the connection ends with it.
        write!(stream, "GET /metrics HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
        let mut answer = String::new();
        stream
            .read_to_string(&mut answer)
            .context("the agent's answer cannot be read")?;
        let (head, body) = answer
            .split_once("\r\n\r\n")
            .context("an answer without a body")?;
        let status = head.lines().next().unwrap_or_default();
        ensure!(
            status.split(' ').nth(1) == Some("200"),
            "the agent answered: {status}"
        );
        Self::read(body)
    }

    fn read(text: &str) -> Result<Self> {
        let lines = text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        let samples = lines
            .map(|line| sample(line).with_context(|| format!("not a sample: {line}")))
            .collect::<Result<_>>()?;
        Ok(Self { samples })
    }

    /// The sum of a metric that must be there.
    pub(crate) fn sum(&self, name: &str) -> Result<i64> {
        let mut found = self
            .samples
            .iter()
            .filter(|sample| sample.name == name)
            .peekable();
        ensure!(found.peek().is_some(), "the agent exports no {name}");
        Ok(found.map(|sample| sample.value).sum::<f64>() as i64)
    }

    /// A metric that has no labels, as it stands there.
    pub(crate) fn number(&self, name: &str) -> Option<f64> {
        let sample = self.samples.iter().find(|sample| sample.name == name)?;
        Some(sample.value)
    }

    /// The sum over the samples that have all these labels. A combination that was
    /// never counted may be absent, so none is 0.
    pub(crate) fn sum_with(&self, name: &str, labels: &[(&str, &str)]) -> i64 {
        let has_all = |sample: &&Sample| {
            labels
                .iter()
                .all(|(key, value)| sample.labels.get(*key).is_some_and(|it| it == value))
        };
        let found = self
            .samples
            .iter()
            .filter(|sample| sample.name == name)
            .filter(has_all);
        found.map(|sample| sample.value).sum::<f64>() as i64
    }

    /// The values that a label has over all samples of a metric.
    pub(crate) fn label_values(&self, name: &str, label: &str) -> Vec<&str> {
        let found = self.samples.iter().filter(|sample| sample.name == name);
        found
            .filter_map(|sample| sample.labels.get(label).map(String::as_str))
            .collect()
    }

    /// Every sample of a metric, for a message.
    pub(crate) fn show(&self, name: &str) -> String {
        let found = self
            .samples
            .iter()
            .filter(|sample| sample.name == name && sample.value != 0.0);
        let lines: Vec<_> = found
            .map(|sample| format!("{:?} {}", sample.labels, sample.value))
            .collect();
        format!("{name}: [{}]", lines.join("; "))
    }
}

/// `name{label="value",...} value`, as the exposition format has it.
fn sample(line: &str) -> Result<Sample> {
    let name_ends = line.find(['{', ' ']).context("no value")?;
    let (name, mut rest) = line.split_at(name_ends);
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while !rest.starts_with('}') {
            let (key, after) = rest.split_once("=\"").context("a label without a value")?;
            let (value, after) = quoted(after)?;
            labels.insert(key.to_owned(), value);
            rest = after.strip_prefix(',').unwrap_or(after);
        }
        rest = &rest[1..];
    }
    let value = rest
        .split_whitespace()
        .next()
        .context("no value")?
        .parse()?;
    Ok(Sample {
        name: name.to_owned(),
        labels,
        value,
    })
}

/// Reads up to the closing quote; gives the text and what comes after the quote.
fn quoted(text: &str) -> Result<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Ok((value, &text[at + 1..])),
            '\\' => match letters.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, escaped)) => value.push(escaped),
                None => break,
            },
            other => value.push(other),
        }
    }
    bail!("a label's value has no end")
}

#[cfg(test)]
mod tests {
    use super::Metrics;

    #[test]
    fn samples_are_summed_over_the_labels_that_are_not_asked_for() {
        let text = "# HELP x y\n# TYPE x counter\nx{a=\"1\",b=\"p\"} 2\nx{a=\"1\",b=\"q\"} 3\nx{a=\"2\"} 10\ny 7\n";
        let metrics = Metrics::read(text).unwrap();
        assert_eq!(metrics.sum("x").unwrap(), 15);
        assert_eq!(metrics.sum_with("x", &[("a", "1")]), 5);
        assert_eq!(metrics.sum_with("x", &[("a", "3")]), 0);
        assert_eq!(metrics.sum("y").unwrap(), 7);
    }

    #[test]
    fn a_metric_that_is_absent_is_not_zero() {
        assert!(Metrics::read("y 7\n").unwrap().sum("x").is_err());
    }

    #[test]
    fn labels_may_hold_quotes_commas_and_braces() {
        let metrics = Metrics::read("x{a=\"}\\\",\\\\\"} 1e3\n").unwrap();
        assert_eq!(metrics.label_values("x", "a"), ["}\",\\"]);
        assert_eq!(metrics.sum("x").unwrap(), 1000);
    }

    #[test]
    fn a_line_that_is_no_sample_is_refused() {
        for wrong in ["x", "x{a=\"1} 2", "x{a} 2", "x y"] {
            assert!(Metrics::read(wrong).is_err(), "{wrong}");
        }
    }
}
