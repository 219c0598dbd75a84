//! JSON against JSON Schema, as far as the API's own description uses it. A keyword that is not known
//! here fails: nothing is skipped.

use regex::Regex;
use serde_json::{Map, Value};

/// A document with schemas that refer to one another.
pub struct Schemas<'a>(pub &'a Value);

impl Schemas<'_> {
    /// What a reference leads to; or the value itself, if it is none.
    pub fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value.get("$ref") {
            None => value,
            Some(to) => {
                let to = to.as_str().expect("a reference is text");
                let pointer = to.strip_prefix('#').expect("it is within the document");
                let found = self.0.pointer(pointer);
                found.unwrap_or_else(|| panic!("{to} leads nowhere"))
            }
        }
    }

    /// What is wrong with a value, by a schema.
    pub fn check(&self, value: &Value, schema: &Value) -> Result<(), String> {
        let schema = self.resolve(schema).as_object().expect("a schema");
        for (keyword, rule) in schema {
            self.check_rule(value, keyword, rule, schema)
                .map_err(|error| format!("{error}, in {value}"))?;
        }
        Ok(())
    }

    fn check_rule(
        &self,
        value: &Value,
        keyword: &str,
        rule: &Value,
        schema: &Map<String, Value>,
    ) -> Result<(), String> {
        let is_so = match keyword {
            "description" | "default" | "format" => true,
            "type" => match rule {
                Value::Array(kinds) => kinds.iter().any(|kind| is_a(value, kind)),
                kind => is_a(value, kind),
            },
            "const" => value == rule,
            "enum" => rule.as_array().expect("a list").contains(value),
            "minimum" => value.as_f64().is_none_or(|n| n >= number(rule)),
            "maximum" => value.as_f64().is_none_or(|n| n <= number(rule)),
            "minLength" => {
                let length = value.as_str().map(|text| text.chars().count() as f64);
                length.is_none_or(|length| length >= number(rule))
            }
            "pattern" => {
                let pattern = Regex::new(rule.as_str().expect("text")).expect("a pattern");
                value.as_str().is_none_or(|text| pattern.is_match(text))
            }
            "required" => {
                let names = rule.as_array().expect("a list").iter();
                let mut names = names.map(|name| name.as_str().expect("a name"));
                names.all(|name| value.get(name).is_some())
            }
            "items" => {
                for item in value.as_array().into_iter().flatten() {
                    self.check(item, rule)?;
                }
                true
            }
            "properties" => {
                for (name, rule) in rule.as_object().expect("a table") {
                    if let Some(field) = value.get(name) {
                        self.check(field, rule)?;
                    }
                }
                true
            }
            "additionalProperties" => {
                assert_eq!(*rule, Value::Bool(false));
                let known = schema["properties"].as_object().expect("a table");
                let mut fields = value.as_object().into_iter().flatten();
                fields.all(|(name, _)| known.contains_key(name))
            }
            "oneOf" => {
                let rules = rule.as_array().expect("a list").iter();
                rules.filter(|rule| self.check(value, rule).is_ok()).count() == 1
            }
            other => panic!("the keyword {other} is not known here"),
        };
        match is_so {
            true => Ok(()),
            false => Err(format!("{keyword} {rule} does not hold")),
        }
    }
}

fn number(rule: &Value) -> f64 {
    rule.as_f64().expect("a number")
}

fn is_a(value: &Value, kind: &Value) -> bool {
    match kind.as_str().expect("the name of a type") {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("the type {other} is not known here"),
    }
}
