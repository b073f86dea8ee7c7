//! What the applet runs on: Trussed with files for a store, random numbers from the system, and the backends it needs.
//!
//! Trussed's own virtual platform has one seed for everybody: two fresh cards would make the same keys.

use std::path::Path;

use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use trussed::backend::{Backend as _, BackendId};
use trussed::pipe::TrussedChannel;
use trussed::platform;
use trussed::serde_extensions::{ExtensionDispatch, ExtensionId, ExtensionImpl};
use trussed::service::ServiceResources;
use trussed::types::Context;
use trussed::virt::{Client, Runner, StorageConfig, Store, StoreConfig, UserInterface};
use trussed_auth::AuthExtension;
use trussed_auth_backend::{AuthBackend, AuthContext, FilesystemLayout};
use trussed_chunked::ChunkedExtension;
use trussed_core::Error;
use trussed_core::api::{Reply, Request, reply, request};
use trussed_core::types::Location;
use trussed_hpke::HpkeExtension;
use trussed_rsa_alloc::SoftwareRsa;
use trussed_staging::{StagingBackend, StagingContext};
use trussed_wrap_key_to_file::WrapKeyToFileExtension;

/// Runs `card` on the store in `folder`, which it makes where there is none.
pub fn with_client<R>(folder: &Path, card: impl FnOnce(Client<'_, Dispatch>) -> R) -> R {
    let mut store = StoreConfig {
        internal: StorageConfig::filesystem(folder.join("internal")),
        external: StorageConfig::filesystem(folder.join("external")),
        volatile: StorageConfig::ram(),
    };
    store.with_store(|store| {
        let platform = Platform { rng: ChaCha8Rng::from_entropy(), store, ui: UserInterface::new() };
        let channel = TrussedChannel::new();
        let (requester, responder) = channel.split().expect("a new channel");
        let mut runner = Runner::new();
        runner.add_endpoint(responder, "piv", BACKENDS);
        let client = Client::new(requester, runner.syscall(), None);
        runner.run(platform, Dispatch::new(), || card(client))
    })
}

struct Platform<'a> {
    rng: ChaCha8Rng,
    store: Store<'a>,
    ui: UserInterface,
}

impl<'a> platform::Platform for Platform<'a> {
    type R = ChaCha8Rng;
    type S = Store<'a>;
    type UI = UserInterface;

    fn rng(&mut self) -> &mut Self::R {
        &mut self.rng
    }

    fn store(&self) -> Self::S {
        self.store
    }

    fn user_interface(&mut self) -> &mut Self::UI {
        &mut self.ui
    }
}

const BACKENDS: &[BackendId<Backend>] = &[
    BackendId::Custom(Backend::Auth),
    BackendId::Custom(Backend::Rsa),
    BackendId::Custom(Backend::Staging),
    BackendId::Core,
];

pub enum Backend {
    Auth,
    Rsa,
    Staging,
}

/// The extensions, by the number they have between client and service.
#[derive(Clone, Copy)]
pub enum Extension {
    Auth = 0,
    Chunked = 1,
    Hpke = 2,
    WrapKeyToFile = 3,
}

impl From<Extension> for u8 {
    fn from(extension: Extension) -> Self {
        extension as Self
    }
}

impl TryFrom<u8> for Extension {
    type Error = Error;

    fn try_from(id: u8) -> Result<Self, Error> {
        [Self::Auth, Self::Chunked, Self::Hpke, Self::WrapKeyToFile]
            .into_iter()
            .find(|extension| *extension as u8 == id)
            .ok_or(Error::FunctionNotSupported)
    }
}

pub struct Dispatch {
    auth: AuthBackend,
    staging: StagingBackend,
}

impl Dispatch {
    fn new() -> Self {
        Self {
            auth: AuthBackend::new(Location::Internal, FilesystemLayout::V0),
            staging: StagingBackend::new(),
        }
    }
}

#[derive(Default)]
pub struct Contexts {
    auth: AuthContext,
    staging: StagingContext,
}

impl ExtensionDispatch for Dispatch {
    type BackendId = Backend;
    type Context = Contexts;
    type ExtensionId = Extension;

    fn core_request<P: platform::Platform>(
        &mut self,
        backend: &Backend,
        context: &mut Context<Contexts>,
        request: &Request,
        resources: &mut ServiceResources<P>,
    ) -> Result<Reply, Error> {
        let (core, own) = (&mut context.core, &mut context.backends);
        match backend {
            Backend::Auth => self.auth.request(core, &mut own.auth, request, resources),
            Backend::Rsa => SoftwareRsa.request(core, &mut (), request, resources),
            Backend::Staging => self.staging.request(core, &mut own.staging, request, resources),
        }
    }

    fn extension_request<P: platform::Platform>(
        &mut self,
        backend: &Backend,
        extension: &Extension,
        context: &mut Context<Contexts>,
        request: &request::SerdeExtension,
        resources: &mut ServiceResources<P>,
    ) -> Result<reply::SerdeExtension, Error> {
        macro_rules! by {
            ($kind:ty, $backend:ident) => {
                ExtensionImpl::<$kind>::extension_request_serialized(
                    &mut self.$backend,
                    &mut context.core,
                    &mut context.backends.$backend,
                    request,
                    resources,
                )
            };
        }
        match (backend, extension) {
            (Backend::Auth, Extension::Auth) => by!(AuthExtension, auth),
            (Backend::Staging, Extension::Chunked) => by!(ChunkedExtension, staging),
            (Backend::Staging, Extension::Hpke) => by!(HpkeExtension, staging),
            (Backend::Staging, Extension::WrapKeyToFile) => by!(WrapKeyToFileExtension, staging),
            _ => Err(Error::RequestNotAvailable),
        }
    }
}

impl ExtensionId<AuthExtension> for Dispatch {
    type Id = Extension;
    const ID: Extension = Extension::Auth;
}

impl ExtensionId<ChunkedExtension> for Dispatch {
    type Id = Extension;
    const ID: Extension = Extension::Chunked;
}

impl ExtensionId<HpkeExtension> for Dispatch {
    type Id = Extension;
    const ID: Extension = Extension::Hpke;
}

impl ExtensionId<WrapKeyToFileExtension> for Dispatch {
    type Id = Extension;
    const ID: Extension = Extension::WrapKeyToFile;
}
