// Opens, seals, signs and verifies with Bouncy Castle: the judge of our envelopes and signatures.
//
// Usage: java -cp bcpkix.jar:bcprov.jar:bcutil.jar BouncyCastleJudge.java FOLDER, with one case a line on standard
// input; names are files in FOLDER:
//     open INPUT OUTPUT NAME               NAME.crt and NAME.key, both DER, are the recipient
//     seal der|ber id|name INPUT OUTPUT NAME...   recipients by key identifier or by issuer and serial number
//     sign der|ber attached|detached INPUT OUTPUT NAME CONTEXT     CONTEXT is a documentContext, DER
//     verify INPUT CONTENT|- NAME          - for an enclosed content
// Ends with an error when any case fails.

import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.MessageDigest;
import java.security.PrivateKey;
import java.security.Key;
import java.security.Security;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

import javax.crypto.Cipher;
import javax.crypto.spec.GCMParameterSpec;

import org.bouncycastle.asn1.ASN1Encodable;
import org.bouncycastle.asn1.ASN1EncodableVector;
import org.bouncycastle.asn1.ASN1ObjectIdentifier;
import org.bouncycastle.asn1.ASN1OctetString;
import org.bouncycastle.asn1.ASN1Primitive;
import org.bouncycastle.asn1.DERNull;
import org.bouncycastle.asn1.DERSet;
import org.bouncycastle.asn1.cms.Attribute;
import org.bouncycastle.asn1.cms.AttributeTable;
import org.bouncycastle.asn1.ess.ESSCertIDv2;
import org.bouncycastle.asn1.ess.SigningCertificateV2;
import org.bouncycastle.asn1.nist.NISTObjectIdentifiers;
import org.bouncycastle.asn1.pkcs.PKCSObjectIdentifiers;
import org.bouncycastle.asn1.pkcs.RSAESOAEPparams;
import org.bouncycastle.asn1.cms.GCMParameters;
import org.bouncycastle.asn1.x509.AlgorithmIdentifier;
import org.bouncycastle.asn1.x509.SubjectPublicKeyInfo;
import org.bouncycastle.cert.jcajce.JcaCertStore;
import org.bouncycastle.cert.jcajce.JcaX509CertificateHolder;
import org.bouncycastle.cms.CMSAlgorithm;
import org.bouncycastle.cms.CMSAuthEnvelopedData;
import org.bouncycastle.cms.CMSAuthEnvelopedDataGenerator;
import org.bouncycastle.cms.CMSException;
import org.bouncycastle.cms.CMSProcessableByteArray;
import org.bouncycastle.cms.CMSSignedData;
import org.bouncycastle.cms.CMSSignedDataGenerator;
import org.bouncycastle.cms.CMSSignedDataStreamGenerator;
import org.bouncycastle.cms.DefaultSignedAttributeTableGenerator;
import org.bouncycastle.cms.KeyAgreeRecipientId;
import org.bouncycastle.cms.KeyTransRecipientId;
import org.bouncycastle.cms.Recipient;
import org.bouncycastle.cms.RecipientId;
import org.bouncycastle.cms.RecipientInfoGenerator;
import org.bouncycastle.cms.RecipientInformation;
import org.bouncycastle.cms.RecipientOperator;
import org.bouncycastle.cms.SignerInfoGenerator;
import org.bouncycastle.cms.SignerInformation;
import org.bouncycastle.cms.jcajce.JcaSignerInfoGeneratorBuilder;
import org.bouncycastle.cms.jcajce.JcaSimpleSignerInfoVerifierBuilder;
import org.bouncycastle.cms.jcajce.JceCMSContentEncryptorBuilder;
import org.bouncycastle.cms.jcajce.JceKeyAgreeRecipient;
import org.bouncycastle.cms.jcajce.JceKeyAgreeRecipientInfoGenerator;
import org.bouncycastle.cms.jcajce.JceKeyTransAuthEnvelopedRecipient;
import org.bouncycastle.cms.jcajce.JceKeyTransRecipientInfoGenerator;
import org.bouncycastle.jce.provider.BouncyCastleProvider;
import org.bouncycastle.operator.ContentSigner;
import org.bouncycastle.operator.InputAEADDecryptor;
import org.bouncycastle.operator.OutputAEADEncryptor;
import org.bouncycastle.operator.jcajce.JcaContentSignerBuilder;
import org.bouncycastle.operator.jcajce.JcaDigestCalculatorProviderBuilder;

public class BouncyCastleJudge {
    static final ASN1ObjectIdentifier DOCUMENT_CONTEXT = new ASN1ObjectIdentifier("1.3.6.1.4.1.32473.1.1");
    static final String SUBJECT_KEY_IDENTIFIER = "2.5.29.14";
    static Path folder;

    public static void main(String[] arguments) throws Exception {
        Security.addProvider(new BouncyCastleProvider());
        folder = Path.of(arguments[0]);
        BufferedReader cases = new BufferedReader(new InputStreamReader(System.in));
        for (String line = cases.readLine(); line != null; line = cases.readLine()) {
            String[] words = line.split(" ");
            try {
                run(words[0], Arrays.asList(words).subList(1, words.length));
            } catch (Exception failure) {
                throw new Exception("case failed: " + line, failure);
            }
        }
    }

    static void run(String verb, List<String> words) throws Exception {
        switch (verb) {
            case "open" -> write(words.get(1), open(read(words.get(0)), words.get(2)));
            case "seal" -> write(words.get(3), seal(words.get(0).equals("ber"), words.get(1).equals("id"),
                read(words.get(2)), words.subList(4, words.size())));
            case "sign" -> write(words.get(3), sign(words.get(0).equals("ber"), words.get(1).equals("attached"),
                read(words.get(2)), words.get(4), read(words.get(5))));
            case "verify" -> verify(read(words.get(0)), words.get(1), words.get(2));
            default -> throw new Exception("unknown verb " + verb);
        }
    }

    static byte[] read(String name) throws Exception {
        return Files.readAllBytes(folder.resolve(name));
    }

    static void write(String name, byte[] bytes) throws Exception {
        Files.write(folder.resolve(name), bytes);
    }

    static X509Certificate certificate(String name) throws Exception {
        byte[] der = read(name + ".crt");
        return (X509Certificate) CertificateFactory.getInstance("X.509").generateCertificate(new ByteArrayInputStream(der));
    }

    static boolean isRsa(X509Certificate certificate) {
        return certificate.getPublicKey().getAlgorithm().equals("RSA");
    }

    static PrivateKey key(String name) throws Exception {
        String algorithm = isRsa(certificate(name)) ? "RSA" : "EC";
        return KeyFactory.getInstance(algorithm, "BC").generatePrivate(new PKCS8EncodedKeySpec(read(name + ".key")));
    }

    static byte[] keyIdentifier(X509Certificate certificate) throws Exception {
        byte[] wrapped = certificate.getExtensionValue(SUBJECT_KEY_IDENTIFIER);
        byte[] inner = ASN1OctetString.getInstance(wrapped).getOctets();
        return ASN1OctetString.getInstance(inner).getOctets();
    }

    static byte[] open(byte[] message, String name) throws Exception {
        X509Certificate certificate = certificate(name);
        CMSAuthEnvelopedData envelope = new CMSAuthEnvelopedData(message);
        JcaX509CertificateHolder holder = new JcaX509CertificateHolder(certificate);
        byte[] id = keyIdentifier(certificate);
        List<RecipientId> names = isRsa(certificate)
            ? List.of(new KeyTransRecipientId(id), new KeyTransRecipientId(holder.getIssuer(), holder.getSerialNumber()))
            : List.of(new KeyAgreeRecipientId(id), new KeyAgreeRecipientId(holder.getIssuer(), holder.getSerialNumber()));
        RecipientInformation found = null;
        for (RecipientId recipient : names) {
            found = found == null ? envelope.getRecipientInfos().get(recipient) : found;
        }
        Recipient opener = isRsa(certificate)
            ? new JceKeyTransAuthEnvelopedRecipient(key(name)).setProvider("BC")
            : new AgreedRecipient(key(name)).setProvider("BC");
        return found.getContent(opener);
    }

    static RecipientInfoGenerator transport(X509Certificate certificate, boolean byId) throws Exception {
        AlgorithmIdentifier sha256 = new AlgorithmIdentifier(NISTObjectIdentifiers.id_sha256, DERNull.INSTANCE);
        AlgorithmIdentifier mask = new AlgorithmIdentifier(PKCSObjectIdentifiers.id_mgf1, sha256);
        RSAESOAEPparams parameters = new RSAESOAEPparams(sha256, mask, RSAESOAEPparams.DEFAULT_P_SOURCE_ALGORITHM);
        AlgorithmIdentifier oaep = new AlgorithmIdentifier(PKCSObjectIdentifiers.id_RSAES_OAEP, parameters);
        return byId
            ? new JceKeyTransRecipientInfoGenerator(keyIdentifier(certificate), oaep, certificate.getPublicKey())
                .setProvider("BC")
            : new JceKeyTransRecipientInfoGenerator(certificate, oaep).setProvider("BC");
    }

    // One ephemeral key for all P-256 recipients, in one KeyAgreeRecipientInfo.
    static RecipientInfoGenerator agreement(List<X509Certificate> certificates, boolean byId) throws Exception {
        KeyPairGenerator generator = KeyPairGenerator.getInstance("EC", "BC");
        generator.initialize(new java.security.spec.ECGenParameterSpec("P-256"));
        KeyPair ephemeral = generator.generateKeyPair();
        JceKeyAgreeRecipientInfoGenerator agreement = new JceKeyAgreeRecipientInfoGenerator(
            CMSAlgorithm.ECDH_SHA256KDF, ephemeral.getPrivate(), ephemeral.getPublic(), CMSAlgorithm.AES256_WRAP)
            .setProvider("BC");
        agreement.setUserKeyingMaterial(new byte[] {1, 2, 3});
        for (X509Certificate certificate : certificates) {
            if (byId) {
                agreement.addRecipient(keyIdentifier(certificate), certificate.getPublicKey());
            } else {
                agreement.addRecipient(certificate);
            }
        }
        return agreement;
    }

    static byte[] seal(boolean ber, boolean byId, byte[] content, List<String> names) throws Exception {
        OutputAEADEncryptor encryptor =
            (OutputAEADEncryptor) new JceCMSContentEncryptorBuilder(CMSAlgorithm.AES256_GCM).setProvider("BC").build();
        CMSAuthEnvelopedDataGenerator generator = new CMSAuthEnvelopedDataGenerator();
        List<X509Certificate> agreed = new ArrayList<>();
        for (String name : names) {
            if (isRsa(certificate(name))) {
                generator.addRecipientInfoGenerator(transport(certificate(name), byId));
            } else {
                agreed.add(certificate(name));
            }
        }
        if (!agreed.isEmpty()) {
            generator.addRecipientInfoGenerator(agreement(agreed, byId));
        }
        CMSAuthEnvelopedData made = generator.generate(new CMSProcessableByteArray(content), encryptor);
        return made.toASN1Structure().getEncoded(ber ? "BER" : "DER");
    }

    // Bouncy Castle 1.72 agrees on keys but has no such recipient for authenticated envelopes: its key agreement with the
    // platform's AES-GCM.
    static class AgreedRecipient extends JceKeyAgreeRecipient {
        AgreedRecipient(PrivateKey key) {
            super(key);
        }

        @Override
        public RecipientOperator getRecipientOperator(AlgorithmIdentifier encryption, AlgorithmIdentifier content,
                SubjectPublicKeyInfo sender, ASN1OctetString ukm, byte[] encryptedKey) throws CMSException {
            Key secret = extractSecretKey(encryption, content, sender, ukm, encryptedKey);
            GCMParameters parameters = GCMParameters.getInstance(content.getParameters());
            return new RecipientOperator(new InputAEADDecryptor() {
                @Override
                public AlgorithmIdentifier getAlgorithmIdentifier() {
                    return content;
                }

                @Override
                public InputStream getInputStream(InputStream in) {
                    try {
                        Cipher cipher = Cipher.getInstance("AES/GCM/NoPadding");
                        cipher.init(Cipher.DECRYPT_MODE, secret,
                            new GCMParameterSpec(parameters.getIcvLen() * 8, parameters.getNonce()));
                        return new ByteArrayInputStream(cipher.doFinal(in.readAllBytes()));
                    } catch (Exception failure) {
                        throw new IllegalStateException(failure);
                    }
                }

                @Override
                public OutputStream getAADStream() {
                    return OutputStream.nullOutputStream();
                }

                @Override
                public byte[] getMAC() {
                    return new byte[0];
                }
            });
        }
    }

    static SignerInfoGenerator signer(String name, byte[] context) throws Exception {
        X509Certificate certificate = certificate(name);
        byte[] hash = MessageDigest.getInstance("SHA-256").digest(certificate.getEncoded());
        ASN1EncodableVector attributes = new ASN1EncodableVector();
        ASN1Encodable signing = new SigningCertificateV2(new ESSCertIDv2(hash));
        attributes.add(new Attribute(PKCSObjectIdentifiers.id_aa_signingCertificateV2, new DERSet(signing)));
        attributes.add(new Attribute(DOCUMENT_CONTEXT, new DERSet(ASN1Primitive.fromByteArray(context))));
        String algorithm = isRsa(certificate) ? "SHA256withRSAandMGF1" : "SHA256withECDSA";
        ContentSigner signer = new JcaContentSignerBuilder(algorithm).setProvider("BC").build(key(name));
        return new JcaSignerInfoGeneratorBuilder(new JcaDigestCalculatorProviderBuilder().setProvider("BC").build())
            .setSignedAttributeGenerator(new DefaultSignedAttributeTableGenerator(new AttributeTable(attributes)))
            .build(signer, certificate);
    }

    static byte[] sign(boolean ber, boolean attached, byte[] content, String name, byte[] context) throws Exception {
        JcaCertStore certificates = new JcaCertStore(List.of(certificate(name)));
        if (!ber) {
            CMSSignedDataGenerator generator = new CMSSignedDataGenerator();
            generator.addSignerInfoGenerator(signer(name, context));
            generator.addCertificates(certificates);
            CMSSignedData made = generator.generate(new CMSProcessableByteArray(content), attached);
            return made.toASN1Structure().getEncoded("DER");
        }
        CMSSignedDataStreamGenerator generator = new CMSSignedDataStreamGenerator();
        generator.addSignerInfoGenerator(signer(name, context));
        generator.addCertificates(certificates);
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        try (OutputStream stream = generator.open(out, attached)) {
            stream.write(content);
        }
        return out.toByteArray();
    }

    static void verify(byte[] message, String content, String name) throws Exception {
        CMSSignedData signed = content.equals("-")
            ? new CMSSignedData(message)
            : new CMSSignedData(new CMSProcessableByteArray(read(content)), message);
        if (signed.getSignerInfos().size() != 1) {
            throw new Exception("not one signer");
        }
        SignerInformation signer = signed.getSignerInfos().getSigners().iterator().next();
        X509Certificate certificate = certificate(name);
        if (!signed.getCertificates().getMatches(signer.getSID()).contains(new JcaX509CertificateHolder(certificate))) {
            throw new Exception("the certificate is not enclosed");
        }
        if (!signer.verify(new JcaSimpleSignerInfoVerifierBuilder().setProvider("BC").build(certificate))) {
            throw new Exception("the signature does not verify");
        }
        if (signer.getSignedAttributes().get(DOCUMENT_CONTEXT) == null) {
            throw new Exception("no documentContext");
        }
    }
}
