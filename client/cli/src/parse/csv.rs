//! Lists with commas, in which a field may be quoted.

/// The fields of one line.
pub(crate) fn fields(text: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut symbols = text.chars().peekable();
    while let Some(symbol) = symbols.next() {
        let field = fields.last_mut().expect("there is always a field");
        match symbol {
            '"' if quoted && symbols.peek() == Some(&'"') => {
                symbols.next();
                field.push('"');
            }
            '"' if quoted => quoted = false,
            '"' if field.is_empty() => quoted = true,
            ',' if !quoted => fields.push(String::new()),
            _ => field.push(symbol),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_field_may_hold_commas_and_quotes() {
        assert_eq!(fields("a,b=c"), ["a", "b=c"]);
        assert_eq!(fields("\"x=a,\"\"b\"\"\",y"), ["x=a,\"b\"", "y"]);
        assert_eq!(fields(""), [""]);
    }
}
