//! A DER tree that fixtures are bent with: it writes whatever it is told, right or wrong.

/// One element.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    Primitive(u8, Vec<u8>),
    Constructed(u8, Vec<Self>),
}

impl Node {
    pub fn parse(der: &[u8]) -> Self {
        let (node, rest) = Self::take(der);
        assert!(rest.is_empty());
        node
    }

    fn take(der: &[u8]) -> (Self, &[u8]) {
        let (tag, first) = (der[0], usize::from(der[1]));
        let long = first.saturating_sub(0x80);
        let length = if first < 0x80 {
            first
        } else {
            der[2..2 + long].iter().fold(0, |n, b| n << 8 | usize::from(*b))
        };
        let (contents, rest) = der[2 + long..].split_at(length);
        if tag & 0x20 == 0 {
            return (Self::Primitive(tag, contents.to_vec()), rest);
        }
        let (mut children, mut inner) = (Vec::new(), contents);
        while !inner.is_empty() {
            let (child, after) = Self::take(inner);
            children.push(child);
            inner = after;
        }
        (Self::Constructed(tag, children), rest)
    }

    pub fn to_der(&self) -> Vec<u8> {
        let (tag, contents) = match self {
            Self::Primitive(tag, contents) => (*tag, contents.clone()),
            Self::Constructed(tag, children) => (*tag, children.iter().flat_map(Self::to_der).collect()),
        };
        let mut out = vec![tag];
        match contents.len() {
            short @ 0..=127 => out.push(short as u8),
            long => {
                out.push(0x84);
                out.extend_from_slice(&(long as u32).to_be_bytes());
                // Shortest form, or it would be refused for that.
                while out[2] == 0 {
                    out.remove(2);
                    out[1] -= 1;
                }
            }
        }
        out.extend_from_slice(&contents);
        out
    }

    pub fn children(&mut self) -> &mut Vec<Self> {
        match self {
            Self::Constructed(_, children) => children,
            Self::Primitive(..) => panic!("primitive"),
        }
    }

    pub fn contents(&mut self) -> &mut Vec<u8> {
        match self {
            Self::Primitive(_, contents) => contents,
            Self::Constructed(..) => panic!("constructed"),
        }
    }

    /// Whether this is the first child.
    pub fn begins_with(&self, first: &Self) -> bool {
        matches!(self, Self::Constructed(_, children) if children.first() == Some(first))
    }

    /// The element at this path of child numbers.
    pub fn at(&mut self, path: &[usize]) -> &mut Self {
        path.iter().fold(self, |node, index| &mut node.children()[*index])
    }
}

pub fn octets(bytes: &[u8]) -> Node {
    Node::Primitive(0x04, bytes.to_vec())
}

pub fn integer(value: u8) -> Node {
    Node::Primitive(0x02, vec![value])
}

pub fn sequence(children: Vec<Node>) -> Node {
    Node::Constructed(0x30, children)
}

/// An OBJECT IDENTIFIER in dotted form.
pub fn oid(text: &str) -> Node {
    Node::Primitive(0x06, der::asn1::ObjectIdentifier::new_unwrap(text).as_bytes().to_vec())
}

pub fn null() -> Node {
    Node::Primitive(0x05, Vec::new())
}
