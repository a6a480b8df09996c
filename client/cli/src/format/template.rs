//! Go templates with docker's functions. Only this file knows which engine renders them.

use crate::failure::Failure;
use gtmpl_ng::{Context, ExecError, FuncError, Number, Value as Gtmpl};
use serde_json::Value;
use std::collections::HashMap;

/// A template that was parsed.
pub(crate) struct Template {
    engine: gtmpl_ng::Template,
    text: String,
}

/// Why a template cannot be rendered.
#[derive(Debug)]
pub(crate) enum Unrendered {
    /// The value has no such field; where the field stands in the template.
    Field { column: usize, field: String, name: String },
    /// Anything else.
    Other(String),
}

impl Unrendered {
    /// Go's sentence for a struct of this type.
    pub(crate) fn in_type(&self, go_type: &str) -> String {
        match self {
            Self::Field { column, field, name } => format!(
                "template: :1:{column}: executing \"\" at <{field}>: can't evaluate field {name} in type {go_type}"
            ),
            Self::Other(text) => text.clone(),
        }
    }

    /// Go's sentence for a map.
    pub(crate) fn in_map(&self) -> String {
        match self {
            Self::Field { column, field, name } => format!(
                "template: :1:{column}: executing \"\" at <{field}>: map has no entry for key \"{name}\""
            ),
            Self::Other(text) => text.clone(),
        }
    }
}

impl Template {
    /// Parses a template: 64 if it cannot be.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let mut engine = gtmpl_ng::Template::default();
        for (name, function) in FUNCTIONS {
            engine.add_func(name, *function);
        }
        engine.parse(with_label_function(text)).map_err(|error| {
            let cause = error.to_string();
            let cause = cause.rsplit(':').next().unwrap_or_default().trim();
            let cause = match cause {
                "unexpected unclosed action in command" => "unclosed action",
                other => other,
            };
            Failure::Coded {
                code: 64,
                text: format!("template parsing error: template: :1: {cause}"),
            }
        })?;
        Ok(Self { engine, text: text.to_owned() })
    }

    /// Renders the template with this value as the dot.
    pub(crate) fn render(&self, dot: &Value) -> Result<String, Unrendered> {
        let context = Context::from(converted(dot, ""));
        self.engine.render(&context).map_err(|error| self.explain(&error, dot))
    }

    /// Renders the headers of a table: functions leave them as they are.
    pub(crate) fn header(&self, dot: &Value) -> Result<String, Failure> {
        let mut engine = gtmpl_ng::Template::default();
        for (name, function) in FUNCTIONS {
            engine.add_func(name, if *name == "label" { *function } else { same });
        }
        engine
            .parse(with_label_function(&self.text))
            .map(|()| engine.render(&Context::from(converted(dot, ""))).unwrap_or_default())
            .map_err(|error| Failure::Plain(error.to_string()))
    }

    fn explain(&self, error: &ExecError, dot: &Value) -> Unrendered {
        for (column, chain) in chains(&self.text) {
            let mut value = dot;
            for name in chain.split('.').skip(1) {
                match value {
                    Value::Object(map) => match map.get(name) {
                        Some(next) => value = next,
                        None => {
                            return Unrendered::Field {
                                column,
                                field: chain.clone(),
                                name: name.to_owned(),
                            };
                        }
                    },
                    _ => break,
                }
            }
        }
        Unrendered::Other(format!("template: :1: {error}"))
    }
}

/// The engine has no methods with arguments: `.Label "name"` becomes a call of a function.
fn with_label_function(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(".Label ") {
        let joined = rest[..at].ends_with(|symbol: char| {
            symbol.is_alphanumeric() || [')', '$', ']'].contains(&symbol)
        });
        out.push_str(&rest[..at]);
        out.push_str(if joined { ".Label " } else { "label . " });
        rest = &rest[at + ".Label ".len()..];
    }
    out + rest
}

/// The field chains of a template, and where they stand.
fn chains(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut rest = 0;
    while let Some(open) = text[rest..].find("{{") {
        let start = rest + open + 2;
        let end = text[start..].find("}}").map_or(text.len(), |close| start + close);
        let action = &text[start..end];
        let mut before = ' ';
        let mut at = 0;
        while at < action.len() {
            let Some(symbol) = action[at..].chars().next() else { break };
            if symbol == '.' && !before.is_alphanumeric() && before != '$' && before != ')' {
                let chain: String = action[at..]
                    .chars()
                    .take_while(|symbol| symbol.is_alphanumeric() || ['.', '_'].contains(symbol))
                    .collect();
                if chain.len() > 1 {
                    // Go counts from the last dot of the chain.
                    let last = chain.rfind('.').unwrap_or(0);
                    found.push((start + at + last, chain.clone()));
                }
                at += chain.len();
            } else {
                at += symbol.len_utf8();
            }
            before = symbol;
        }
        rest = end;
    }
    found
}

/// Docker reads `\t` and `\n` in a format as the characters that they name.
pub(crate) fn unescaped(text: &str) -> String {
    text.replace("\\t", "\t").replace("\\n", "\n")
}

/// Keys whose values are maps: a name that is missing in them is no error.
const MAPS: &[&str] = &[
    "Labels",
    "Options",
    "DriverOpts",
    "Ports",
    "Networks",
    "Containers",
    "Sysctls",
    "Annotations",
    "Tmpfs",
    "StorageOpt",
    "Volumes",
    "ExposedPorts",
    "PortBindings",
    "Data",
    "EndpointsConfig",
    "Status",
    "Attributes",
    "IndexConfigs",
    "Runtimes",
];

fn converted(value: &Value, key: &str) -> Gtmpl {
    match value {
        Value::Null => Gtmpl::Nil,
        Value::Bool(on) => Gtmpl::Bool(*on),
        Value::String(text) => Gtmpl::String(text.clone()),
        Value::Number(number) => Gtmpl::Number(match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Number::from(number),
            (_, Some(number)) => Number::from(number),
            _ => Number::from(number.as_f64().unwrap_or_default()),
        }),
        Value::Array(items) => Gtmpl::Array(items.iter().map(|item| converted(item, "")).collect()),
        Value::Object(map) => {
            let fields: HashMap<String, Gtmpl> =
                map.iter().map(|(name, value)| (name.clone(), converted(value, name))).collect();
            if MAPS.contains(&key) { Gtmpl::Map(fields) } else { Gtmpl::Object(fields) }
        }
    }
}

fn plain(value: &Gtmpl) -> Value {
    match value {
        Gtmpl::Nil | Gtmpl::NoValue | Gtmpl::Function(_) => Value::Null,
        Gtmpl::Bool(on) => Value::from(*on),
        Gtmpl::String(text) => Value::from(text.as_str()),
        Gtmpl::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Value::from(number),
            (_, Some(number)) => Value::from(number),
            _ => number.as_f64().map_or(Value::Null, Value::from),
        },
        Gtmpl::Array(items) => Value::Array(items.iter().map(plain).collect()),
        Gtmpl::Object(map) | Gtmpl::Map(map) => {
            Value::Object(map.iter().map(|(name, value)| (name.clone(), plain(value))).collect())
        }
    }
}

type Function = fn(&[Gtmpl]) -> Result<Gtmpl, FuncError>;

const FUNCTIONS: &[(&str, Function)] = &[
    ("json", json),
    ("split", split),
    ("join", join),
    ("title", title),
    ("lower", lower),
    ("upper", upper),
    ("pad", pad),
    ("truncate", truncate),
    ("label", label),
];

fn same(arguments: &[Gtmpl]) -> Result<Gtmpl, FuncError> {
    // A header that comes with other arguments, such as a width, is the first or the last text among them.
    let text = arguments.iter().find(|argument| matches!(argument, Gtmpl::String(_)));
    Ok(text.cloned().unwrap_or_else(|| Gtmpl::String(String::new())))
}

fn text(arguments: &[Gtmpl], at: usize) -> Result<String, FuncError> {
    match arguments.get(at) {
        Some(Gtmpl::String(text)) => Ok(text.clone()),
        Some(other) => Ok(other.to_string()),
        None => Err(FuncError::AtLeastXArgs("function".into(), at + 1)),
    }
}

fn number(arguments: &[Gtmpl], at: usize) -> Result<usize, FuncError> {
    match arguments.get(at) {
        Some(Gtmpl::Number(number)) => {
            Ok(number.as_i64().and_then(|number| usize::try_from(number).ok()).unwrap_or(0))
        }
        _ => Err(FuncError::AtLeastXArgs("function".into(), at + 1)),
    }
}

fn json(arguments: &[Gtmpl]) -> Result<Gtmpl, FuncError> {
    Ok(Gtmpl::String(plain(arguments.first().unwrap_or(&Gtmpl::Nil)).to_string()))
}

fn split(arguments: &[Gtmpl]) -> Result<Gtmpl, FuncError> {
    let (whole, separator) = (text(arguments, 0)?, text(arguments, 1)?);
    Ok(Gtmpl::Array(
        whole.split(separator.as_str()).map(|part| Gtmpl::String(part.to_owned())).collect(),
    ))
}

fn join(arguments: &[Gtmpl]) -> Result<Gtmpl, FuncError> {
    let separator = text(arguments, 1)?;
    match arguments.first() {
        Some(Gtmpl::Array(items)) => {
            let items: Vec<String> = items.iter().map(ToString::to_string).collect();
            Ok(Gtmpl::String(items.join(&separator)))
        }
        Some(Gtmpl::Nil | Gtmpl::NoValue) => Ok(Gtmpl::String(String::new())),
        _ => Err(FuncError::Generic("join needs a list".into())),
    }
}

fn title(arguments: &[Gtmpl]) -> Result<Gtmpl, FuncError> {
    let mut start = true;
    let text = text(arguments, 0)?;
    let titled = text.chars().map(|symbol| {
        let shown = if start { symbol.to_ascii_uppercase() } else { symbol };
        start = symbol.is_whitespace();
        shown
    });
    Ok(Gtmpl::String(titled.collect()))
}

/// `.Label "name"` of a row: the receiver comes first.
fn label(arguments: &[Gtmpl]) -> Result<Gtmpl, FuncError> {
    let Some(Gtmpl::Object(row)) = arguments.first() else {
        return Ok(Gtmpl::String(String::new()));
    };
    let name = text(arguments, 1)?;
    let Some(Gtmpl::String(labels)) = row.get("Labels") else {
        return Ok(Gtmpl::String(String::new()));
    };
    let found =
        labels.split(',').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name);
    Ok(Gtmpl::String(found.map_or_else(String::new, |(_, value)| value.to_owned())))
}

fn lower(arguments: &[Gtmpl]) -> Result<Gtmpl, FuncError> {
    Ok(Gtmpl::String(text(arguments, 0)?.to_lowercase()))
}

fn upper(arguments: &[Gtmpl]) -> Result<Gtmpl, FuncError> {
    Ok(Gtmpl::String(text(arguments, 0)?.to_uppercase()))
}

/// The longest padding; a template may come from anywhere.
const PADDING_LIMIT: usize = 64 << 10;

fn pad(arguments: &[Gtmpl]) -> Result<Gtmpl, FuncError> {
    let inner = text(arguments, 0)?;
    let blanks = |count: usize| " ".repeat(count.min(PADDING_LIMIT));
    if inner.is_empty() {
        return Ok(Gtmpl::String(inner));
    }
    Ok(Gtmpl::String(format!(
        "{}{inner}{}",
        blanks(number(arguments, 1)?),
        blanks(number(arguments, 2)?)
    )))
}

fn truncate(arguments: &[Gtmpl]) -> Result<Gtmpl, FuncError> {
    let length = number(arguments, 1)?;
    Ok(Gtmpl::String(text(arguments, 0)?.chars().take(length).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn render(text: &str, dot: &Value) -> String {
        Template::parse(text).unwrap().render(dot).unwrap_or_else(|error| error.in_map())
    }

    #[test]
    fn docker_s_functions_work() {
        let dot =
            json!({"Name": "/x", "List": ["a", "b"], "N": 5, "Labels": {"k": "v"}, "Off": false});
        for (text, expected) in [
            ("{{.Name}}", "/x"),
            ("{{upper .Name}} {{.N}} {{.Off}}", "/X 5 false"),
            ("{{join .List \",\"}}", "a,b"),
            ("{{json .List}}", "[\"a\",\"b\"]"),
            ("{{range .List}}<{{.}}>{{end}}", "<a><b>"),
            ("{{len .List}}", "2"),
            ("{{index .Labels \"k\"}}", "v"),
            ("{{truncate .Name 1}}|{{pad .Name 1 2}}|", "/| /x  |"),
            ("{{.List}}", "[a b]"),
            ("{{range $k, $v := .Labels}}{{$k}}={{$v}}{{end}}", "k=v"),
            ("{{index (split .Name \"/\") 1}}", "x"),
            ("{{.Labels.none}}", "<no value>"),
            ("{{title \"ab cd\"}}", "Ab Cd"),
            ("{{println .N}}", "5\n"),
        ] {
            assert_eq!(render(text, &dot), expected, "{text}");
        }
    }

    #[test]
    fn a_label_of_a_row_is_asked_for_by_its_name() {
        let dot = json!({"Labels": "a=b,c=d"});
        assert_eq!(render("{{.Label \"c\"}}{{.Label \"x\"}}", &dot), "d");
    }

    #[test]
    fn a_field_that_is_missing_is_named_with_its_place() {
        let text = render("{{.Foo}}", &json!({"A": 1}));
        assert_eq!(
            text,
            "template: :1:2: executing \"\" at <.Foo>: map has no entry for key \"Foo\""
        );
    }
}
