//! From a [`Node`] to a type, by serde. An error says where.

use std::fmt;

use serde::{
    Deserialize,
    de::{
        self, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess,
        VariantAccess, Visitor,
    },
    forward_to_deserialize_any,
};

use super::{
    node::{Entry, Kind, Node, Value},
    problem::{FieldPath, Position, Problem},
};

/// Makes a value of type `T` out of a node. What `check` accepts never fails here; the rest becomes a problem all the
/// same.
pub(super) fn from_node<'de, T: Deserialize<'de>>(
    node: &'de Node,
    path: &FieldPath,
) -> Result<T, Box<Problem>> {
    T::deserialize(Source(node)).map_err(|error| {
        let path = error
            .steps
            .iter()
            .rev()
            .fold(path.clone(), |path, step| match step {
                Step::Key(key) => path.key(key.clone()),
                Step::Index(index) => path.index(*index),
            });
        let position = error.position.unwrap_or(node.position);
        Box::new(Problem::error(path, error.message).at(position))
    })
}

/// What serde says, and where it said it: filled in on the way out.
#[derive(Debug)]
struct Error {
    message: String,
    position: Option<Position>,
    /// Innermost first.
    steps: Vec<Step>,
}

#[derive(Debug)]
enum Step {
    Key(String),
    Index(usize),
}

impl Error {
    fn inside(mut self, step: Step, position: Position) -> Self {
        self.position.get_or_insert(position);
        self.steps.push(step);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self {
            message: message.to_string(),
            position: None,
            steps: Vec::new(),
        }
    }
}

#[derive(Clone, Copy)]
struct Source<'de>(&'de Node);

impl<'de> Deserializer<'de> for Source<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.0.value {
            Value::Sequence(items) => visitor.visit_seq(Items { items, at: 0 }),
            Value::Mapping(entries) => visitor.visit_map(Entries { entries, at: 0 }),
            Value::Scalar(scalar) => match scalar.kind() {
                Kind::Null => visitor.visit_unit(),
                Kind::Bool(value) => visitor.visit_bool(value),
                Kind::Float(value) => visitor.visit_f64(value),
                Kind::Int(value) => match (u64::try_from(value), i64::try_from(value)) {
                    (Ok(value), _) => visitor.visit_u64(value),
                    (_, Ok(value)) => visitor.visit_i64(value),
                    _ => visitor.visit_i128(value),
                },
                Kind::String | Kind::Odd(_) | Kind::Sequence | Kind::Mapping => {
                    visitor.visit_borrowed_str(&scalar.text)
                }
            },
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0.kind() {
            Kind::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_enum(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

struct Items<'de> {
    items: &'de [Node],
    at: usize,
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        let Some(node) = self.items.get(self.at) else {
            return Ok(None);
        };
        let index = self.at;
        self.at += 1;
        seed.deserialize(Source(node))
            .map(Some)
            .map_err(|error| error.inside(Step::Index(index), node.position))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len() - self.at)
    }
}

struct Entries<'de> {
    entries: &'de [Entry],
    at: usize,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        let Some(entry) = self.entries.get(self.at) else {
            return Ok(None);
        };
        let key: de::value::BorrowedStrDeserializer<'_, Error> =
            de::value::BorrowedStrDeserializer::new(&entry.key);
        seed.deserialize(key)
            .map(Some)
            .map_err(|error| error.inside(Step::Key(entry.key.clone()), entry.position))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let Some(Entry { key, node, .. }) = self.entries.get(self.at) else {
            return Err(de::Error::custom("a value was asked for without a key"));
        };
        self.at += 1;
        seed.deserialize(Source(node))
            .map_err(|error| error.inside(Step::Key(key.clone()), node.position))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.entries.len() - self.at)
    }
}

/// Enums of ours have no data: a string is the variant.
impl<'de> EnumAccess<'de> for Source<'de> {
    type Error = Error;
    type Variant = Unit;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Unit), Error> {
        let text = self
            .0
            .text()
            .ok_or_else(|| <Error as de::Error>::custom("expected a string"))?;
        seed.deserialize(text.into_deserializer())
            .map(|variant| (variant, Unit))
    }
}

/// A variant without data.
struct Unit;

impl<'de> VariantAccess<'de> for Unit {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, _: T) -> Result<T::Value, Error> {
        Err(de::Error::custom("a variant with data"))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Error> {
        Err(de::Error::custom("a variant with data"))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        Err(de::Error::custom("a variant with data"))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{super::yaml, *};

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Thing {
        text: String,
        number: Option<u16>,
        on: bool,
        ratio: f64,
        list: Vec<i64>,
        map: BTreeMap<String, Choice>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    enum Choice {
        One,
        Two,
    }

    fn read(text: &str) -> Result<Thing, String> {
        let node = yaml::parse(text).node.unwrap();
        from_node(&node, &FieldPath::spec()).map_err(|problem| problem.to_string())
    }

    #[test]
    fn every_kind_of_value_is_read() {
        let thing = read(
            "text: '1'\nnumber: 7\non: true\nratio: 2\nlist: [-1, 2]\nmap: {a: One, b: Two}\n",
        )
        .unwrap();
        assert_eq!(
            thing,
            Thing {
                text: "1".into(),
                number: Some(7),
                on: true,
                ratio: 2.0,
                list: vec![-1, 2],
                map: [("a".into(), Choice::One), ("b".into(), Choice::Two)].into(),
            }
        );
        assert_eq!(
            read("{text: x, on: false, ratio: .5, list: [], map: {}}")
                .unwrap()
                .number,
            None
        );
    }

    #[test]
    fn an_error_says_where() {
        let text = "text: x\non: true\nratio: 1\nlist: [1, x]\nmap: {}\n";
        assert_eq!(
            read(text).unwrap_err(),
            "4:11: spec.list[1]: invalid type: string \"x\", expected i64"
        );
        let text = "text: x\non: true\nratio: 1\nlist: []\nmap: {a: Three}\n";
        assert_eq!(
            read(text).unwrap_err(),
            "5:10: spec.map.a: unknown variant `Three`, expected `One` or `Two`"
        );
        assert_eq!(
            read("text: x\n").unwrap_err(),
            "1:1: spec: missing field `on`"
        );
    }
}
