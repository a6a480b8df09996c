//! Lists: a table, a template per row, JSON per row, or ids.

use crate::failure::Failure;
use crate::format::template::{self, Template};
use crate::format::{json, table};
use crate::output;
use serde_json::{Map, Value};

/// One row: the fields that templates may name.
pub(crate) type Row = Map<String, Value>;

/// A kind of list: the fields with their headers, and the columns of the default table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind {
    /// The name in errors of templates, such as `*formatter.ContainerContext`.
    pub(crate) go_type: &'static str,
    pub(crate) headers: &'static [(&'static str, &'static str)],
}

/// Makes a row.
pub(crate) fn row<const N: usize>(fields: [(&str, Value); N]) -> Row {
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Prints a list. `columns` are those of the default table, which an empty format or `table` asks for; `quiet` names
/// the one field to print instead.
pub(crate) fn print(
    kind: Kind,
    format: &str,
    columns: &[&str],
    quiet: Option<&str>,
    rows: &[Row],
) -> Result<(), Failure> {
    if let Some(field) = quiet.filter(|_| format.is_empty() || format == "table") {
        for row in rows {
            output::line(cell(row, field))?;
        }
        return Ok(());
    }
    match format {
        "" | "table" => {
            let header =
                columns.iter().map(|field| header(kind, field)).collect::<Vec<_>>().join("\t");
            let lines = rows.iter().map(|row| {
                columns.iter().map(|field| cell(row, field)).collect::<Vec<_>>().join("\t")
            });
            let lines: Vec<String> = std::iter::once(header).chain(lines).collect();
            Ok(output::bytes(table::aligned(&lines).as_bytes())?)
        }
        "json" => templated(kind, "{{json .}}", rows),
        format if format.starts_with("table ") => titled(kind, format[6..].trim(), rows),
        format => templated(kind, format, rows),
    }
}

fn header(kind: Kind, field: &str) -> String {
    kind.headers
        .iter()
        .find(|(name, _)| *name == field)
        .map_or(field, |(_, header)| header)
        .to_owned()
}

fn cell(row: &Row, field: &str) -> String {
    match row.get(field) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(value) => value.to_string(),
    }
}

fn titled(kind: Kind, text: &str, rows: &[Row]) -> Result<(), Failure> {
    let text = template::unescaped(text);
    let template = Template::parse(&text)?;
    let headers = kind
        .headers
        .iter()
        .map(|(name, header)| ((*name).to_owned(), Value::from(*header)))
        .collect();
    let mut lines = vec![template.header(&Value::Object(headers))?];
    for row in rows {
        lines.push(rendered(kind, &template, row)?);
    }
    let lines: Vec<String> =
        lines.iter().flat_map(|line| line.split('\n')).map(str::to_owned).collect();
    Ok(output::bytes(table::aligned(&lines).as_bytes())?)
}

fn templated(kind: Kind, text: &str, rows: &[Row]) -> Result<(), Failure> {
    if text == "{{json .}}" {
        for row in rows {
            output::line(json::escaped(&Value::Object(row.clone())))?;
        }
        return Ok(());
    }
    let template = Template::parse(&template::unescaped(text))?;
    if rows.is_empty() && kind.go_type == CONTAINERS {
        // A field that does not exist is a mistake even when there is nothing to show, for docker looks at the format
        // of `ps` to know what to ask for.
        let fields = kind.headers.iter().map(|(name, _)| ((*name).to_owned(), Value::from("")));
        if let Err(missing @ template::Unrendered::Field { .. }) =
            template.render(&Value::Object(fields.collect()))
        {
            return Err(unrendered(kind, &missing));
        }
    }
    for row in rows {
        output::line(rendered(kind, &template, row)?)?;
    }
    Ok(())
}

fn rendered(kind: Kind, template: &Template, row: &Row) -> Result<String, Failure> {
    template.render(&Value::Object(row.clone())).map_err(|missing| unrendered(kind, &missing))
}

/// The type of the rows of `ps`.
const CONTAINERS: &str = "*formatter.ContainerContext";

fn unrendered(kind: Kind, missing: &template::Unrendered) -> Failure {
    let what = match kind.go_type {
        CONTAINERS => "failed to execute template",
        _ => "template parsing error",
    };
    Failure::Plain(format!("{what}: {}", missing.in_type(kind.go_type)))
}
