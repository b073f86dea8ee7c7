//! The service Directory.

use std::sync::Arc;

use life_pki::Uid;
use life_proto::v1::{
    ConfirmFingerprintRequest, DirectoryUser, Fingerprint, GetFingerprintRequest, LookupUserRequest,
    LookupUserResponse, TrustState, directory_server,
};
use tonic::{Request, Response, Status};

use super::accounts::participant_kind;
use crate::agent::Agent;
use crate::clock;
use crate::directory::Known;
use crate::error::{Error, Result};
use crate::identities::Identity;
use crate::names;

/// The service Directory.
pub struct DirectoryService(pub Arc<Agent>);

async fn own(identity: &Identity) -> Result<Known> {
    let account = identity.directory.own().await?;
    Ok(Known {
        certificate: identity.root.certificate.clone(),
        issuers: identity.root.issuers.clone(),
        first_seen: account.roots().map(|root| root.since.time).min().unwrap_or(identity.expires),
        trust: TrustState::Confirmed,
        account,
    })
}

async fn find(identity: &Identity, uid: Uid) -> Result<Known> {
    let finding = async {
        if uid == identity.uid {
            return own(identity).await;
        }
        let known = identity.directory.look_up(uid).await?;
        identity.directory.told([uid]).await;
        Ok(known)
    };
    identity.run(finding).await
}

#[tonic::async_trait]
impl directory_server::Directory for DirectoryService {
    async fn lookup_user(
        &self,
        request: Request<LookupUserRequest>,
    ) -> Result<Response<LookupUserResponse>, Status> {
        let request = request.into_inner();
        let uid = names::parse_user("name", &request.name)?;
        let identity = self.0.identities.named("caller", &request.caller)?;
        let known = find(&identity, uid).await?;
        let fingerprint = known.fingerprint();
        let user = DirectoryUser {
            name: names::user(&uid),
            kind: participant_kind(known.account.kind()).into(),
            trust: known.trust.into(),
            certificate: known.certificate.der().to_vec().into(),
            issuers: known.issuers.into_iter().map(Into::into).collect(),
            generation: known.account.current_root().generation,
            fingerprint,
            first_seen_time: Some(clock::wire(known.first_seen)),
        };
        Ok(Response::new(LookupUserResponse { user: Some(user) }))
    }

    async fn get_fingerprint(
        &self,
        request: Request<GetFingerprintRequest>,
    ) -> Result<Response<Fingerprint>, Status> {
        let request = request.into_inner();
        let uid = names::parse_user("name", &request.name)?;
        let identity = self.0.identities.named("caller", &request.caller)?;
        let known = find(&identity, uid).await?;
        let (name, fingerprint) = (names::user(&uid), known.fingerprint());
        Ok(Response::new(Fingerprint { name, fingerprint, trust: known.trust.into() }))
    }

    async fn confirm_fingerprint(
        &self,
        request: Request<ConfirmFingerprintRequest>,
    ) -> Result<Response<Fingerprint>, Status> {
        let request = request.into_inner();
        let uid = names::parse_user("name", &request.name)?;
        if request.fingerprint.is_empty() || request.fingerprint.len() > 128 {
            return Err(Error::field("fingerprint", "has not 1 to 128 bytes").into());
        }
        let identity = self.0.identities.named("caller", &request.caller)?;
        if uid == identity.uid {
            return Err(Error::field("name", "is the caller itself").into());
        }
        let fingerprint = identity.run(identity.directory.confirm(uid, &request.fingerprint)).await?;
        let (name, trust) = (names::user(&uid), TrustState::Confirmed.into());
        Ok(Response::new(Fingerprint { name, fingerprint, trust }))
    }
}
