set(IDF_TARGET esp32)

# As ESP32_GENERIC has it, without sdkconfig.ble.
set(SDKCONFIG_DEFAULTS
    boards/sdkconfig.base
    ${SDKCONFIG_IDF_VERSION_SPECIFIC}
    ${MICROPY_BOARD_DIR}/sdkconfig.board
)
