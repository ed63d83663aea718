/*
 * A security key in software for OpenSSH, by the interface of its PROTOCOL.u2f, “SSH U2F middleware”: Ed25519 only, the key handle is
 * the seed. For tests: cc -shared -fPIC -o sk-provider.so sk-provider.c -lcrypto
 */
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define GENERAL_ERROR -1

struct sk_option;
struct sk_enroll_response {
  uint8_t flags;
  uint8_t *public_key;
  size_t public_key_len;
  uint8_t *key_handle;
  size_t key_handle_len;
  uint8_t *signature;
  size_t signature_len;
  uint8_t *attestation_cert;
  size_t attestation_cert_len;
  uint8_t *authdata;
  size_t authdata_len;
};
struct sk_sign_response {
  uint8_t flags;
  uint32_t counter;
  uint8_t *sig_r;
  size_t sig_r_len;
  uint8_t *sig_s;
  size_t sig_s_len;
};
struct sk_resident_key;

uint32_t sk_api_version(void) { return 0x000a0000; }

int sk_enroll(uint32_t alg, const uint8_t *challenge, size_t challenge_len, const char *application, uint8_t flags,
              const char *pin, struct sk_option **options, struct sk_enroll_response **out) {
  struct sk_enroll_response *made = calloc(1, sizeof *made);
  if (alg != 1) return GENERAL_ERROR;
  made->flags = flags;
  made->key_handle_len = made->public_key_len = 32;
  made->key_handle = malloc(32);
  made->public_key = malloc(32);
  made->signature = calloc(1, made->signature_len = 64);
  if (RAND_bytes(made->key_handle, 32) != 1) return GENERAL_ERROR;
  EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, made->key_handle, 32);
  EVP_PKEY_get_raw_public_key(key, made->public_key, &made->public_key_len);
  *out = made;
  return 0;
}

int sk_sign(uint32_t alg, const uint8_t *data, size_t data_len, const char *application, const uint8_t *key_handle,
            size_t key_handle_len, uint8_t flags, const char *pin, struct sk_option **options,
            struct sk_sign_response **out) {
  uint8_t message[32 + 1 + 4 + 32];
  struct sk_sign_response *made = calloc(1, sizeof *made);
  if (alg != 1 || key_handle_len != 32) return GENERAL_ERROR;
  made->flags = flags;
  made->counter = 0x01020304;
  SHA256((const uint8_t *)application, strlen(application), message);
  message[32] = flags;
  memcpy(message + 33, "\1\2\3\4", 4);
  SHA256(data, data_len, message + 37);
  made->sig_r = malloc(made->sig_r_len = 64);
  EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, key_handle, 32);
  EVP_MD_CTX *context = EVP_MD_CTX_new();
  if (EVP_DigestSignInit(context, NULL, NULL, NULL, key) != 1 ||
      EVP_DigestSign(context, made->sig_r, &made->sig_r_len, message, sizeof message) != 1)
    return GENERAL_ERROR;
  *out = made;
  return 0;
}

int sk_load_resident_keys(const char *pin, struct sk_option **options, struct sk_resident_key ***keys, size_t *count) {
  *count = 0;
  return 0;
}
