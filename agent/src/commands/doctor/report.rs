//! The doctor's report: one structure, as text and as JSON, so that both say
//! the same. Leaves out finding things out.

use serde::Serialize;

use hooks::{Reject, Step};

/// Everything that the doctor says.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    can_run: bool,
    pub(crate) problem: Option<String>,
    checks: Vec<Check>,
    /// Whether the hooks are as they would be for a process with the capabilities.
    hooks_assume_capabilities: bool,
    hooks: Vec<HookLine>,
}

/// One thing looked at.
#[derive(Debug, Serialize)]
pub(crate) struct Check {
    name: &'static str,
    state: State,
    found: String,
}

/// What it means for the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    Ok,
    /// It runs, and shows or costs something else.
    Degraded,
    /// It does not run without.
    Missing,
}

impl State {
    const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::Missing => "missing",
        }
    }
}

#[derive(Debug, Serialize)]
struct HookLine {
    hook: &'static str,
    family: &'static str,
    state: HookState,
    /// The function that it would be attached to, and the ways to attach it, best first.
    #[serde(skip_serializing_if = "Option::is_none")]
    choice: Option<Choice>,
    /// What the self-test at start can do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    self_test: Option<String>,
    /// What to know of the choice.
    #[serde(skip_serializing_if = "Option::is_none")]
    caution: Option<&'static str>,
    rejected: Vec<Rejected>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum HookState {
    Attachable,
    NotNeeded,
    Blind,
}

#[derive(Debug, Serialize)]
struct Choice {
    symbol: &'static str,
    methods: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
struct Rejected {
    symbol: &'static str,
    why: String,
}

impl Check {
    pub(crate) fn new(name: &'static str, state: State, found: impl Into<String>) -> Self {
        Self {
            name,
            state,
            found: found.into(),
        }
    }

    /// Well, or what is wrong and how bad that is.
    pub(crate) fn either(
        name: &'static str,
        well: &str,
        wrong: Option<&str>,
        state: State,
    ) -> Self {
        match wrong {
            None => Self::new(name, State::Ok, well),
            Some(wrong) => Self::new(name, state, wrong),
        }
    }
}

impl HookLine {
    fn new(step: &Step) -> Self {
        let choice = step.usable.first().map(|(candidate, methods)| Choice {
            symbol: candidate.symbol,
            methods: methods.iter().map(|it| it.name()).collect(),
        });
        // That no way to attach is open is told once, above.
        let shown = step.rejected.iter();
        let shown = shown.filter(|(_, reject)| !matches!(reject, Reject::NoMethod(_)));
        let rejected = shown.map(|(symbol, reject)| Rejected {
            symbol,
            why: reject.to_string(),
        });
        let in_part = step.rejected.iter().any(|it| it.1 == Reject::Part);
        Self {
            caution: choice.as_ref().filter(|_| in_part).map(|_| {
                "may see none of the calls, which can go round what is left of it: the self-test finds \
                 out, and what it would feed is withheld"
            }),
            hook: step.hook.name,
            family: step.hook.family.name(),
            state: match (step.not_needed, &choice) {
                (true, _) => HookState::NotNeeded,
                (false, Some(_)) => HookState::Attachable,
                (false, None) => HookState::Blind,
            },
            self_test: choice.as_ref().map(|_| step.hook.test.to_string()),
            choice,
            rejected: rejected.collect(),
        }
    }

    fn text(&self) -> String {
        let choice = match (self.state, &self.choice) {
            (HookState::NotNeeded, _) => "not needed on this kernel".to_owned(),
            (HookState::Blind, _) | (HookState::Attachable, None) => "BLIND".to_owned(),
            (HookState::Attachable, Some(it)) => {
                format!("{} by {}", it.symbol, it.methods.join(" or "))
            }
        };
        let mut text = format!("  {:<8} {:<33} {choice}", self.family, self.hook);
        if let Some(way) = &self.self_test {
            text += &format!("\n  {:<42}   {way}", "");
        }
        if let Some(caution) = self.caution {
            text += &format!("\n  {:<42}   {caution}", "");
        }
        for it in &self.rejected {
            text += &format!("\n  {:<42}   not {}: {}", "", it.symbol, it.why);
        }
        text
    }
}

impl Report {
    /// `assumed`: the steps are those of a process with the capabilities, which this one lacks.
    pub(crate) fn new(
        checks: Vec<Check>,
        steps: &[Step],
        assumed: bool,
        problem: Option<String>,
    ) -> Self {
        Self {
            hooks_assume_capabilities: assumed,
            can_run: problem.is_none(),
            problem,
            checks,
            hooks: steps.iter().map(HookLine::new).collect(),
        }
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::json!(self)
    }

    pub(crate) fn text(&self) -> String {
        let mut lines: Vec<_> = self
            .checks
            .iter()
            .map(|it| format!("{:<9} {:<13} {}", it.state.name(), it.name, it.found))
            .collect();
        if !self.hooks.is_empty() {
            let given = match self.hooks_assume_capabilities {
                true => "hooks, given the capabilities, as far as this user can see:",
                false => "hooks:",
            };
            lines.push(given.to_owned());
        }
        lines.extend(self.hooks.iter().map(HookLine::text));
        lines.push(match &self.problem {
            None => "pinscope can run here".to_owned(),
            Some(problem) => format!("pinscope cannot run here: {problem}"),
        });
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use hooks::{Attach, Facts, plan};

    /// Every word of the JSON that is not a name of a state.
    fn words(value: &Value, key: &str, found: &mut Vec<String>) {
        match value {
            Value::String(it) if key != "state" => found.push(it.clone()),
            Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
            Value::Array(all) => all.iter().for_each(|it| words(it, key, found)),
            Value::Object(all) => all.iter().for_each(|(key, it)| words(it, key, found)),
        }
    }

    fn check(facts: &Facts, attach: Attach) {
        let checks = vec![
            Check::new("kernel", State::Ok, &*facts.release),
            Check::either("btf", "present", Some("gone"), State::Missing),
        ];
        let steps = plan(facts, attach);
        let report = Report::new(checks, &steps, false, Some("of this".to_owned()));
        let (text, json) = (report.text(), report.json());
        let mut found = Vec::new();
        words(&json, "", &mut found);
        assert!(found.len() > 30, "{found:?}");
        for word in found {
            assert!(text.contains(&word), "{word} is not in\n{text}");
        }
        let states = |name: &str| {
            json["hooks"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|it| it["state"] == name)
                .count()
        };
        assert_eq!(text.matches("BLIND").count(), states("blind"));
        assert_eq!(text.matches(" not needed ").count(), states("not_needed"));
        assert_eq!(
            text.matches(" by fentry").count()
                + text.matches(" by kprobe").count()
                + text.matches(" by stack").count(),
            states("attachable")
        );
        assert_eq!(
            text.matches("   would be tested by ").count()
                + text.matches("   not tested: ").count(),
            states("attachable")
        );
    }

    #[test]
    fn text_and_json_say_the_same_on_every_kernel() {
        for text in [
            include_str!("../../../../hooks/facts/5.10.json"),
            include_str!("../../../../hooks/facts/7.3.json"),
        ] {
            let facts: Facts = serde_json::from_str(text).unwrap();
            for attach in [Attach::Auto, Attach::Fentry, Attach::Kprobe] {
                check(&facts, attach);
            }
        }
    }
}
