# What lathe selftest says where the driver, or the device named, is not there.
export LATHE_CUDA_LIB=/none/libcuda.so LATHE_HIP_LIB=/none/libamdhip64.so
for device in cuda:0 hip:0 cpu cuda: cuda:x hip:-1; do
    lathe selftest --device "$device" 2>&1
    echo "exit $?"
done
lathe selftest --only some 2>&1
echo "exit $?"
