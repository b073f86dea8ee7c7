//! What a type that holds a secret must not be able to do, judged by the compiler.

/// Fails to compile when a type that holds a secret can be printed, cloned, hashed, compared or lent as bytes.
///
/// It stands beside the definition of every such type, private ones too; `scripts/check-secrets` finds the types that
/// lack it. Comparing a secret is done in constant time, by [`SecretBytes::ct_eq`](crate::secret::SecretBytes::ct_eq).
///
/// ```
/// struct Pin(life_sys::secret::SecretBytes);
/// life_sys::secret_types!(Pin);
/// ```
///
/// Each of these differs from the one above by what makes it fail:
///
/// ```compile_fail,E0283
/// #[derive(Debug)]
/// struct Pin([u8; 8]);
/// life_sys::secret_types!(Pin);
/// ```
///
/// ```compile_fail,E0283
/// #[derive(Clone)]
/// struct Pin([u8; 8]);
/// life_sys::secret_types!(Pin);
/// ```
///
/// ```compile_fail,E0283
/// #[derive(PartialEq)]
/// struct Pin([u8; 8]);
/// life_sys::secret_types!(Pin);
/// ```
///
/// ```compile_fail,E0283
/// #[derive(Hash)]
/// struct Pin([u8; 8]);
/// life_sys::secret_types!(Pin);
/// ```
///
/// ```compile_fail,E0283
/// struct Pin(life_sys::secret::SecretBytes);
/// impl AsRef<[u8]> for Pin {
///     fn as_ref(&self) -> &[u8] {
///         self.0.expose()
///     }
/// }
/// life_sys::secret_types!(Pin);
/// ```
///
/// ```compile_fail,E0283
/// struct Pin(life_sys::secret::SecretBytes);
/// impl std::fmt::Display for Pin {
///     fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
///         out.write_str("a pin")
///     }
/// }
/// life_sys::secret_types!(Pin);
/// ```
#[macro_export]
macro_rules! secret_types {
    ($($type:ty),+ $(,)?) => {
        $($crate::lacks!(
            $type: ::core::fmt::Debug, ::core::fmt::Display, ::core::fmt::LowerHex, ::core::fmt::UpperHex,
            ::core::clone::Clone, ::core::cmp::PartialEq<$type>, ::core::hash::Hash, ::core::convert::AsRef<[u8]>,
            ::core::borrow::Borrow<[u8]>, ::core::ops::Deref<Target = [u8]>, ::core::ops::Deref<Target = Vec<u8>>
        );)+
    };
}

/// Fails to compile when a type implements one of these traits.
///
/// Each trait that the type implements gives the function below a second meaning, and then the compiler cannot choose.
///
/// ```
/// struct Pin(life_sys::secret::SecretBytes);
/// life_sys::lacks!(Pin: Clone, Default);
/// ```
///
/// ```compile_fail,E0283
/// #[derive(Default)]
/// struct Pin([u8; 8]);
/// life_sys::lacks!(Pin: Clone, Default);
/// ```
#[macro_export]
macro_rules! lacks {
    ($type:ty: $($trait:path),+ $(,)?) => {
        const _: fn() = || {
            trait Meaning<Of> {
                fn meaning() {}
            }
            struct Always;
            impl<T: ?Sized> Meaning<Always> for T {}
            $({
                struct Also;
                impl<T: ?Sized + $trait> Meaning<Also> for T {}
            })+
            let _ = <$type as Meaning<_>>::meaning;
        };
    };
}
