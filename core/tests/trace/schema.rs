//! Holds lines of a trace to the tables of `docs/trace.md`.

use serde_json::Value;
use std::collections::BTreeMap;

/// What a table says of one field.
enum Kind {
    /// One of these texts.
    OneOf(Vec<String>),
    Number,
    Text,
    Bool,
    List,
}

struct Field {
    kind: Kind,
    optional: bool,
}

/// The events, and their fields by path.
pub(crate) struct Schema(BTreeMap<String, BTreeMap<String, Field>>);

impl Schema {
    /// As the documentation has it.
    pub(crate) fn documented() -> Self {
        let text = include_str!("../../../docs/trace.md");
        let mut events = BTreeMap::new();
        for section in text.split("\n### ").skip(1) {
            let name = section.lines().next().expect("a name").to_owned();
            let rows = section.lines().filter(|line| line.starts_with("| `"));
            events.insert(name, rows.map(field).collect());
        }
        Self(events)
    }

    /// The names of all events.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Checks every line, and returns the events.
    pub(crate) fn check(&self, trace: &[u8]) -> Vec<Value> {
        let text = std::str::from_utf8(trace).expect("UTF-8");
        assert!(text.ends_with('\n'));
        let mut lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        let head = lines.next().expect("a header");
        assert_eq!((&head["qlog_version"], &head["qlog_format"]), (&"0.3".into(), &"NDJSON".into()));
        assert!(head["trace"]["common_fields"]["reference_time"].is_number() && head["title"].is_string());
        assert_eq!(head["trace"]["common_fields"]["time_format"], "relative");
        let events: Vec<Value> = lines.collect();
        let mut last = 0.0;
        for event in &events {
            let time = event["time"].as_f64().expect("a time");
            assert!(time >= last, "time goes back at {event}");
            last = time;
            self.event(event);
        }
        events
    }

    fn event(&self, event: &Value) {
        let keys: Vec<&str> = event.as_object().expect("an object").keys().map(String::as_str).collect();
        assert!(keys.iter().all(|key| ["time", "name", "group_id", "data"].contains(key)), "{event}");
        let name = event["name"].as_str().expect("a name");
        let fields = self.0.get(name).unwrap_or_else(|| panic!("{name} is not described"));
        let mut found = BTreeMap::new();
        flatten("", &event["data"], &mut found);
        for (path, value) in &found {
            let field =
                fields.get(path).unwrap_or_else(|| panic!("{name}: {path} is not described: {event}"));
            let fits = match &field.kind {
                Kind::OneOf(texts) => value.as_str().is_some_and(|text| texts.iter().any(|one| one == text)),
                Kind::Number => value.is_number(),
                Kind::Text => value.is_string(),
                Kind::Bool => value.is_boolean(),
                Kind::List => value.is_array(),
            };
            assert!(fits, "{name}: {path} is {value}");
        }
        for (path, field) in fields {
            assert!(field.optional || found.contains_key(path), "{name}: {path} is missing: {event}");
        }
    }
}

/// A row: the field's path, and what it is.
fn field(row: &str) -> (String, Field) {
    let cells: Vec<&str> = row.split('|').map(str::trim).collect();
    let path = cells[1].trim_matches('`').to_owned();
    let (name, optional) = match cells[2].strip_suffix('?') {
        Some(name) => (name, true),
        None => (cells[2], false),
    };
    let kind = match name {
        "number" => Kind::Number,
        "text" => Kind::Text,
        "bool" => Kind::Bool,
        "list" => Kind::List,
        texts => {
            let one_of: Vec<_> = texts.split(' ').map(|text| text.trim_matches('`').to_owned()).collect();
            assert!(texts.starts_with('`'), "{row}");
            Kind::OneOf(one_of)
        }
    };
    (path, Field { kind, optional })
}

fn flatten<'a>(prefix: &str, value: &'a Value, out: &mut BTreeMap<String, &'a Value>) {
    let Some(object) = value.as_object() else {
        out.insert(prefix.to_owned(), value);
        return;
    };
    for (key, value) in object {
        let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        flatten(&path, value, out);
    }
}
