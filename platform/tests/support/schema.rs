//! Validates values against the schemas of `openapi.json`: the part of JSON Schema 2020-12 that it uses.

use serde_json::Value;

pub fn contract() -> Value {
    serde_json::from_str(life_platform::http::public::OPENAPI).unwrap()
}

/// Every fault of a value, by path; a keyword this validator does not know is a fault as well.
pub fn faults(contract: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    check(contract, schema, value, "$", &mut faults);
    faults
}

fn check(contract: &Value, schema: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
    for (keyword, rule) in schema.as_object().unwrap() {
        let good = match keyword.as_str() {
            "description" | "format" | "contentEncoding" | "required" => true,
            "$ref" => {
                let target = contract.pointer(rule.as_str().unwrap().strip_prefix('#').unwrap());
                check(contract, target.unwrap_or_else(|| panic!("{rule}")), value, at, faults);
                true
            }
            "type" => has_type(rule.as_str().unwrap(), value),
            "enum" => rule.as_array().unwrap().contains(value),
            "pattern" => value.as_str().is_none_or(|text| matches_pattern(rule.as_str().unwrap(), text)),
            "minimum" => value.as_i64().is_none_or(|number| number >= rule.as_i64().unwrap()),
            "maximum" => value.as_i64().is_none_or(|number| number <= rule.as_i64().unwrap()),
            "minItems" => value.as_array().is_none_or(|items| items.len() as u64 >= rule.as_u64().unwrap()),
            "maxItems" => value.as_array().is_none_or(|items| items.len() as u64 <= rule.as_u64().unwrap()),
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    check(contract, rule, item, &format!("{at}[{index}]"), faults);
                }
                true
            }
            "properties" => {
                object(contract, schema, value, at, faults);
                true
            }
            "additionalProperties" => rule == &Value::Bool(false),
            _ => false,
        };
        if !good {
            faults.push(format!("{at}: {keyword} {rule}"));
        }
    }
}

fn object(contract: &Value, schema: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
    let (Some(properties), Some(fields)) = (schema["properties"].as_object(), value.as_object()) else {
        return;
    };
    for (name, field) in fields {
        match properties.get(name) {
            Some(rule) => check(contract, rule, field, &format!("{at}.{name}"), faults),
            None => faults.push(format!("{at}.{name}: not in the contract")),
        }
    }
    for name in schema["required"].as_array().into_iter().flatten() {
        if !fields.contains_key(name.as_str().unwrap()) {
            faults.push(format!("{at}.{name}: missing"));
        }
    }
}

fn has_type(name: &str, value: &Value) -> bool {
    match name {
        "array" => value.is_array(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "object" => value.is_object(),
        "string" => value.is_string(),
        _ => false,
    }
}

/// The patterns of the contract, each known by its text: a new one has to be added here.
fn matches_pattern(pattern: &str, text: &str) -> bool {
    let lower_hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    match pattern {
        "^[0-9a-f]{32}$" => text.len() == 32 && lower_hex(text),
        "^[0-9]+$" => !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()),
        "^[A-Za-z0-9_-]{1,64}$" => {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
            (1..=64).contains(&text.len()) && text.bytes().all(allowed)
        }
        "^urn:life:problem:[a-z-]+$" => text.strip_prefix("urn:life:problem:").is_some_and(|rest| {
            !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
        }),
        _ if pattern.contains("A-Za-z0-9+/") => life_platform::encoding::from_base64(text).is_some(),
        _ if pattern.contains("-4[0-9a-f]{3}-") => text.parse::<life_pki::Uid>().is_ok(),
        _ if pattern.contains('T') => text.parse::<life_pki::Timestamp>().is_ok(),
        _ => panic!("a pattern this validator does not know: {pattern}"),
    }
}
