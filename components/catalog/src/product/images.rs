use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

/// Where pictures of a product are, the most telling first.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub(crate) struct Images(Vec<String>);

impl Images {
    const MOST: usize = 20;
    /// In bytes, each.
    const LONGEST: usize = 2_000;

    /// What [`to_json`](Self::to_json) gave, back from storage.
    pub(crate) fn stored(json: &str) -> serde_json::Result<Self> {
        serde_json::from_str(json).map(Self)
    }

    pub(crate) fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }
}

impl<'de> Deserialize<'de> for Images {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let images = Vec::<String>::deserialize(deserializer)?;
        if images.len() > Self::MOST {
            return Err(D::Error::custom(format_args!("must have at most {} entries", Self::MOST)));
        }
        match images.iter().position(|image| !is_address(image)) {
            None => Ok(Self(images)),
            Some(place) => Err(D::Error::custom(format_args!(
                "[{place}] must be an http or https address, or a path that begins with /"
            ))),
        }
    }
}

/// No `javascript:`, no `data:`: somebody's browser will follow it.
fn is_address(text: &str) -> bool {
    let fine = |character: char| !character.is_whitespace() && !character.is_control();
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let known = host.map_or(text.starts_with('/') && !text.starts_with("//"), |host| !host.is_empty());
    known && text.len() <= Images::LONGEST && text.chars().all(fine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_a_bounded_list_of_addresses() {
        let read = |json: &str| serde_json::from_str::<Images>(json);
        let good = r#"["https://cdn.example.com/a.png","http://x/?a=b#c","/images/ü.jpg"]"#;
        assert_eq!(Images::stored(&read(good).unwrap().to_json().unwrap()).unwrap(), read(good).unwrap());
        assert_eq!(Images::default().to_json().unwrap(), "[]");
        let many = format!("[{}]", vec![r#""/a""#; 21].join(","));
        let long = format!("[\"/{}\"]", "x".repeat(2_000));
        for bad in
            ["[1]", "{}", r#"["javascript:alert(1)"]"#, r#"["//x"]"#, r#"["https://"]"#, r#"["/a b"]"#, &many, &long]
        {
            assert!(read(bad).is_err(), "{}", &bad[..bad.len().min(30)]);
        }
    }
}
